"""Finds a JSON Schema that no value can meet, as far as that is certain.

All parts of an `allOf` are looked at together. Of alternatives (`anyOf`, `oneOf`), one may be
impossible for a reason, and only all of them together say something; so does a `not` that excludes
every value of the type. `if` and references are not looked into.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from math import ceil, floor, isfinite
from typing import Any

from orc.ledger.digest import canonical_json

_BOUNDS = (
    ("minimum", "maximum", False),
    ("minimum", "exclusiveMaximum", True),
    ("exclusiveMinimum", "maximum", True),
    ("exclusiveMinimum", "exclusiveMaximum", True),
    ("minLength", "maxLength", False),
    ("minItems", "maxItems", False),
    ("minProperties", "maxProperties", False),
    ("minContains", "maxContains", False),
)
"""Pairs of bounds, and whether the two must differ."""
_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")
_TYPES = frozenset("array boolean integer null number object string".split())
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
_COUNTS = {"null": 1, "boolean": 2}
"""How many values the smallest types have."""


def impossible_part(schema: Mapping[str, Any]) -> str:
    """Where a valid schema asks for something that no value has, and why; empty if nowhere."""
    return next((f"{place}{reason}" for place, reason in _impossible(schema, "")), "")


def _impossible(schema: Any, place: str) -> Iterator[tuple[str, str]]:
    if not isinstance(schema, Mapping):
        return
    where = f"{place}: " if place else ""
    parts = list(_parts(schema))
    types = reduce(frozenset.intersection, map(_types, parts), _TYPES)
    if not types:
        yield where, "the types of `allOf` and of the rest exclude each other"
    yield from ((where, reason) for reason in _crossed_bounds(parts, types))
    if not _has_reference(parts):
        yield from ((where, reason) for reason in _unmet_values(schema, parts))
    yield from ((where, reason) for reason in _unmet_counts(parts))
    missing = _forbidden(parts)
    if missing:
        yield where, f"{missing!r} is required, and no object may have it"
    for part in parts:
        if _is_all(part.get("not"), types):
            yield where, "`not` excludes every value"
        for key in ("anyOf", "oneOf"):
            if key in part and all(map(_is_never_met, part[key])):
                yield where, f"no part of `{key}` can be met"
    yield from _impossible_inside(parts, place)


def _impossible_inside(parts: list[Mapping[str, Any]], place: str) -> Iterator[tuple[str, str]]:
    """What is impossible in a property, or in an item, by all parts together."""
    named: dict[str, list[Any]] = {}
    for part in parts:
        for name, found in _mapping(part.get("properties")).items():
            named.setdefault(name, []).append(found)
    items = [part["items"] for part in parts if "items" in part]
    for name, found in (*named.items(), ("items", items)):
        # A property that no object may have is no mistake, and neither is a list without items.
        if found and not any(map(_is_never, found)):
            whole = found[0] if len(found) == 1 else {"allOf": found}
            yield from _impossible(whole, f"{place}/{name}".lstrip("/"))


def _is_never_met(schema: Any) -> bool:
    """Whether it is certain that no value of any type meets the schema."""
    if not isinstance(schema, Mapping):
        return schema is False
    parts = list(_parts(schema))
    types = reduce(frozenset.intersection, map(_types, parts), _TYPES)
    is_excluded = not types or any(_is_all(part.get("not"), types) for part in parts)
    return is_excluded or (not _has_reference(parts) and any(_unmet_values(schema, parts)))


def _parts(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schema, and those of its `allOf`, all of which must hold."""
    yield schema
    for part in schema.get("allOf", ()):
        if isinstance(part, Mapping):
            yield from _parts(part)
        elif part is False:
            yield {"not": {}}


def _types(schema: Mapping[str, Any]) -> frozenset[str]:
    """The types that a value may have; `number` stands for integers, too."""
    given = schema.get("type")
    if given is None:
        return _TYPES
    types = {given} if isinstance(given, str) else set(given)
    return frozenset(types | {"integer"} if "number" in types else types)


def _crossed_bounds(parts: list[Mapping[str, Any]], types: frozenset[str]) -> Iterator[str]:
    """Why a lower and an upper bound leave no number, length or count between them."""
    bounds = {key: max(part[key] for part in parts if key in part) for key in _given(parts, _LEAST)}
    bounds |= {key: min(part[key] for part in parts if key in part) for key in _given(parts, _MOST)}
    is_whole = types == {"integer"}
    for low, high, must_differ in _BOUNDS:
        if low in bounds and high in bounds:
            least, most = bounds[low], bounds[high]
            is_crossed = least > most or (must_differ and least == most)
            if is_whole and low.endswith("inimum") and isfinite(least) and isfinite(most):
                first = floor(least) + 1 if low.startswith("exclusive") else ceil(least)
                last = ceil(most) - 1 if high.startswith("exclusive") else floor(most)
                is_crossed |= first > last
            if is_crossed:
                yield f"`{low}` is {least!r} and `{high}` is {most!r}"


def _given(parts: list[Mapping[str, Any]], keys: Iterable[str]) -> list[str]:
    return [key for key in keys if any(key in part for part in parts)]


def _unmet_values(schema: Mapping[str, Any], parts: list[Mapping[str, Any]]) -> Iterator[str]:
    """Why none of the values in an `enum` or `const` fits the schema."""
    from jsonschema import Draft202012Validator  # loads slowly, and few specs have a schema

    whole = Draft202012Validator(schema)
    for part in parts:
        for key in ("enum", "const"):
            if key not in part:
                continue
            values = part["enum"] if key == "enum" else [part["const"]]
            if not values:
                yield f"`{key}` has no value"
            elif not any(map(whole.is_valid, values)):
                yield f"no value of `{key}` fits the rest, such as `type`"


def _has_reference(value: Any) -> bool:
    """Whether a part of a schema is defined elsewhere."""
    if isinstance(value, Mapping):
        return bool(_REFERENCES & value.keys()) or _has_reference([*value.values()])
    return isinstance(value, list) and any(map(_has_reference, value))


def _unmet_counts(parts: list[Mapping[str, Any]]) -> Iterator[str]:
    """Why no list has as many items, and no object as many properties, as they must have."""
    for part in parts:
        items, least = part.get("items"), max(one.get("minItems", 0) for one in parts)
        if "prefixItems" not in part and least and _is_never(items):
            yield f"`minItems` is {least!r}, and no item is allowed"
        count = _count_of(items)
        is_unique = any(one.get("uniqueItems") is True for one in parts)
        if "prefixItems" not in part and is_unique and count is not None and least > count:
            yield f"`minItems` is {least!r}, and only {count} different items are allowed"
        most = part.get("maxProperties")
        required = {name for one in parts for name in one.get("required", ())}
        if most is not None and len(required) > most:
            yield f"{len(required)} properties are required, and `maxProperties` is {most!r}"
        least = max(one.get("minProperties", 0) for one in parts)
        named = _mapping(part.get("properties"))
        open_ = sum(not _is_never(inner) for inner in named.values())
        if _is_closed(part) and least > open_:
            yield f"`minProperties` is {least!r}, and only {open_} properties are allowed"


def _count_of(schema: Any) -> int | None:
    """How many different values the schema allows at most; None if there is no such bound."""
    if not isinstance(schema, Mapping):
        return None
    if "const" in schema:
        return 1
    if "enum" in schema:
        # Equal numbers in two spellings count twice, which leaves the bound true.
        return len(set(map(canonical_json, schema["enum"])))
    counts = [_COUNTS.get(name) for name in _types(schema)]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _is_never(schema: Any) -> bool:
    """Whether the schema is a spelling of `false`."""
    return schema is False or (isinstance(schema, Mapping) and _is_anything(schema.get("not")))


def _is_anything(schema: Any) -> bool:
    return schema is True or schema == {}


def _is_all(excluded: Any, types: frozenset[str]) -> bool:
    """Whether a schema accepts each value of these types."""
    is_types_only = isinstance(excluded, Mapping) and set(excluded) == {"type"}
    return _is_anything(excluded) or (is_types_only and types <= _types(excluded))


def _forbidden(parts: list[Mapping[str, Any]]) -> str:
    """A required property that a part does not allow; empty if there is none."""
    required = dict.fromkeys(name for part in parts for name in part.get("required", ()))
    for part in parts:
        named = _mapping(part.get("properties"))
        for name in required:
            if _is_never(named.get(name, not _is_closed(part))):
                return str(name)
    return ""


def _is_closed(schema: Mapping[str, Any]) -> bool:
    """Whether an object has named properties only."""
    return _is_never(schema.get("additionalProperties")) and "patternProperties" not in schema


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

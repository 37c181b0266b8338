"""Finds a JSON Schema that no value can meet, as far as that is certain.

Alternatives (`anyOf`, `oneOf`, `not`, `if`) are not looked into: a branch of them may be impossible
for a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator

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


def impossible_part(schema: Mapping[str, Any]) -> str:
    """Where a valid schema asks for something that no value has, and why; empty if nowhere."""
    return next((f"{place}{reason}" for place, reason in _impossible(schema, "")), "")


def _impossible(schema: Any, place: str) -> Iterator[tuple[str, str]]:
    if not isinstance(schema, Mapping):
        return
    where = f"{place}: " if place else ""
    for low, high, must_differ in _BOUNDS:
        if low in schema and high in schema:
            least, most = schema[low], schema[high]
            if least > most or (must_differ and least == most):
                yield where, f"`{low}` is {least!r} and `{high}` is {most!r}"
    if "$ref" not in schema:
        yield from ((where, reason) for reason in _unmet_values(schema))
    missing = _forbidden(schema)
    if missing:
        yield where, f"{missing!r} is required, and no object may have it"
    for name, inner in _mapping(schema.get("properties")).items():
        yield from _impossible(inner, f"{place}/{name}".lstrip("/"))
    yield from _impossible(schema.get("items"), f"{place}/items".lstrip("/"))


def _unmet_values(schema: Mapping[str, Any]) -> Iterator[str]:
    """Why none of the values in `enum` or `const` fits the rest of the schema."""
    for key in ("enum", "const"):
        if key not in schema:
            continue
        rest = Draft202012Validator({name: rule for name, rule in schema.items() if name != key})
        values = schema["enum"] if key == "enum" else [schema["const"]]
        if not values:
            yield f"`{key}` has no value"
        elif "$" not in "".join(map(str, schema)) and not any(map(rest.is_valid, values)):
            yield f"no value of `{key}` fits the rest, such as `type`"


def _forbidden(schema: Mapping[str, Any]) -> str:
    """A required property that the schema does not allow; empty if there is none."""
    is_closed = schema.get("additionalProperties") is False and "patternProperties" not in schema
    named = _mapping(schema.get("properties"))
    return next(
        (name for name in schema.get("required", ()) if named.get(name, not is_closed) is False),
        "",
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

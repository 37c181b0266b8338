"""A JSON Schema as Anthropic's structured outputs take it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from itertools import chain
from typing import Any

# What structured outputs take, by platform.claude.com/docs/en/build-with-claude/structured-outputs.
_KEYWORDS = set(
    "type properties required additionalProperties items minItems anyOf enum const $ref title "
    "description default format".split()
)
_FORMATS = set("date-time time date duration email hostname uri ipv4 ipv6 uuid".split())
_SAYS_WHAT = {"type", "anyOf", "enum", "const", "$ref"}
OPTIONAL_MAX = 24
UNIONS_MAX = 16


def fit_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema as structured outputs take it; none where they do not.

    They take closed objects only. One that does not say whether it is open is closed:
    what fits it then fits the schema as it was.
    """
    root = {key: value for key, value in schema.items() if key not in ("$schema", "$defs")}
    try:
        fitted = _close(root)
        definitions = {name: _close(inner) for name, inner in schema.get("$defs", {}).items()}
        _check_whole(fitted, definitions)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    return {**fitted, "$defs": definitions} if definitions else fitted


def _close(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with every object closed; raises ValueError for what is not taken."""
    kind = schema.get("type", [])
    types = [kind] if isinstance(kind, str) else kind
    is_taken = (
        _KEYWORDS.issuperset(schema)
        and not _SAYS_WHAT.isdisjoint(schema)
        and schema.get("format", "date") in _FORMATS
        and schema.get("minItems", 0) in (0, 1)
        and all(not isinstance(value, dict | list) for value in schema.get("enum", ()))
        and schema.get("additionalProperties", False) is False
        and ("array" in types) == ("items" in schema)
        # Without properties, an object that may be open is a map.
        and ("object" in types) == bool(schema.keys() & {"properties", "additionalProperties"})
    )
    if not is_taken:
        raise ValueError
    closed = dict(schema)
    if "object" in types:
        properties = schema.get("properties", {})
        closed["properties"] = {name: _close(inner) for name, inner in properties.items()}
        closed["additionalProperties"] = False
    if "items" in schema:
        closed["items"] = _close(schema["items"])
    if "anyOf" in schema:
        closed["anyOf"] = [_close(inner) for inner in schema["anyOf"]]
    return closed


def _check_whole(root: dict[str, Any], definitions: Mapping[str, dict[str, Any]]) -> None:
    """Raises ValueError for a reference to elsewhere or in a circle, and past a limit."""
    places = {"#": root, **{f"#/$defs/{name}": inner for name, inner in definitions.items()}}
    levels = {place: list(_levels(schema)) for place, schema in places.items()}
    references = {
        place: {inner["$ref"] for inner in within if "$ref" in inner}
        for place, within in levels.items()
    }
    TopologicalSorter(references).prepare()
    optional = unions = 0
    for inner in chain(*levels.values()):
        optional += len(inner.get("properties", {}).keys() - inner.get("required", []))
        unions += "anyOf" in inner or isinstance(inner.get("type"), list)
    known = places.keys() >= set().union(*references.values())
    if not known or optional > OPTIONAL_MAX or unions > UNIONS_MAX:
        raise ValueError


def _levels(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schema and every one in it."""
    yield schema
    items = [schema["items"]] if "items" in schema else []
    for inner in (*schema.get("properties", {}).values(), *schema.get("anyOf", ()), *items):
        yield from _levels(inner)

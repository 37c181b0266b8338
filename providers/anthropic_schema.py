"""Converts a JSON Schema to the subset that Anthropic's structured outputs support."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from itertools import chain
from typing import Any

# The supported subset: platform.claude.com/docs/en/build-with-claude/structured-outputs
_KEYWORDS = set(
    "type properties required additionalProperties items minItems anyOf enum const $ref title "
    "description default format".split()
)
_FORMATS = set("date-time time date duration email hostname uri ipv4 ipv6 uuid".split())
_TYPE_KEYWORDS = {"type", "anyOf", "enum", "const", "$ref"}
OPTIONAL_MAX = 24
UNIONS_MAX = 16


def fit_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema in a form that structured outputs support; None if there is none.

    They support only closed objects. An object without `additionalProperties` is closed; a
    value that matches the result then also matches the original schema.
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
    """A copy with every object closed. Raises ValueError if the schema is not supported."""
    kind = schema.get("type", [])
    types = [kind] if isinstance(kind, str) else kind
    is_supported = (
        _KEYWORDS.issuperset(schema)
        and not _TYPE_KEYWORDS.isdisjoint(schema)
        and schema.get("format", "date") in _FORMATS
        and schema.get("minItems", 0) in (0, 1)
        and all(not isinstance(value, dict | list) for value in schema.get("enum", ()))
        and schema.get("additionalProperties", False) is False
        and ("array" in types) == ("items" in schema)
        # An object without properties is a map, and maps are not supported.
        and ("object" in types) == bool(schema.keys() & {"properties", "additionalProperties"})
    )
    if not is_supported:
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
    """Raise ValueError for an unknown or circular reference, and for an exceeded limit."""
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
    """The schema and all schemas inside it."""
    yield schema
    items = [schema["items"]] if "items" in schema else []
    for inner in (*schema.get("properties", {}).values(), *schema.get("anyOf", ()), *items):
        yield from _levels(inner)

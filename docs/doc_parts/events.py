"""Parts about events: their types, the values in them, the kinds of failures."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from msgspec import Struct, structs

from doc_parts.markup import choice, code_names, paragraphs, table


def render_events() -> str:
    """Every event type with its own fields."""
    from orc.ledger.events import EVENT_TYPES

    parts = []
    for name, model in EVENT_TYPES.items():
        fields = [field for field in _fields(model) if field[0] not in ("`step`", "`attempt`")]
        body = table(("field", "type", ""), fields) if fields else "No fields of its own."
        parts.append(f"### {name}\n\n{paragraphs(model.__doc__)}\n\n{body}")
    return "\n\n".join(parts)


def render_values() -> str:
    """The value types in events, with their fields."""
    from orc.ledger import events

    parts = []
    for model in (
        events.Payload,
        events.FileRef,
        events.Owner,
        events.TokenUsage,
        events.CallRef,
        events.Failure,
    ):
        fields_table = table(("field", "type", ""), _fields(model))
        parts.append(f"### {model.__name__}\n\n{paragraphs(model.__doc__)}\n\n{fields_table}")
    return "\n\n".join(parts)


def _fields(model: type[Struct]) -> list[tuple[str, str, str]]:
    return [
        (f"`{field.name}`", _type_name(field.type), "" if field.required else "optional")
        for field in structs.fields(model)
    ]


def render_failure_kinds() -> str:
    """The closed list of failure kinds."""
    from orc.ledger.events import FailureKind

    return code_names(get_args(FailureKind))


def _type_name(annotation: Any) -> str:
    """A Python annotation in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(_type_name(each) for each in arguments if each is not NoneType)
    if origin is Literal:
        return "failure kind" if len(arguments) > 10 else choice(arguments)
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    if annotation is Any:
        return "any JSON value"
    words = {str: "text", int: "integer", float: "number", bool: "boolean"}
    return words.get(annotation) or str(annotation.__name__)

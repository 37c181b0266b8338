"""Base types of the spec's models: strict mappings, short forms, durations, texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from orc.scheduler.core.durations import parse_duration
from orc.scheduler.core.sizes import SIZE_PATTERN, parse_size


def _off(value: Any) -> Any:
    """Accept false for `off`, as YAML 1.1 tools write it."""
    return "off" if value is False else value


class Strict(BaseModel):
    """Base of the spec's mappings: unknown keys and type conversions are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def shorthand(key: str, *types: type) -> Callable[[Any], Any]:
    """A validator that expands a value of these types to a mapping with one key."""

    def expand(value: Any) -> Any:
        return {key: value} if isinstance(value, types) and not isinstance(value, bool) else value

    return expand


def as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Duration = Annotated[
    float, BeforeValidator(parse_duration, json_schema_input_type=float | int | str)
]
Size = Annotated[
    int,
    BeforeValidator(
        parse_size,
        json_schema_input_type=int | Annotated[str, Field(pattern=SIZE_PATTERN)],
    ),
]
CacheScope = Annotated[
    Literal["off", "job", "ledger"],
    BeforeValidator(_off, json_schema_input_type=Literal["off", "job", "ledger"]),
]


class FileText(Strict):
    """A text from a file."""

    file: str = Field(
        description="Path relative to the spec. The text is read and recorded at submission."
    )


Text = Annotated[str, BeforeValidator(lambda value: value, json_schema_input_type=str | FileText)]
"""A text; in the spec, `{file: PATH}` is allowed too."""


TEMPLATES: Final = "has templates"
"""Marks a key whose texts are templates of the step: they are checked, and what they refer to is
needed. In a mapping of its own, only the keys with the mark count."""


def keys_with_templates(model: type[BaseModel]) -> tuple[str, ...]:
    """The fields of a model that have the mark."""
    return tuple(name for name, field in model.model_fields.items() if TEMPLATES in field.metadata)


Names = Annotated[list[str], BeforeValidator(as_list, json_schema_input_type=str | list[str])]

"""What the models of the spec share: strictness, short forms, durations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from orc.scheduler.core.durations import parse_duration


def _off(value: Any) -> Any:
    """YAML 1.1 reads a bare `off` as false."""
    return "off" if value is False else value


class Strict(BaseModel):
    """Base of the spec's mappings: no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def shorthand(key: str, *types: type) -> Callable[[Any], Any]:
    """A validator that takes a bare value for a mapping with one key."""

    def expand(value: Any) -> Any:
        return {key: value} if isinstance(value, types) and not isinstance(value, bool) else value

    return expand


def as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Duration = Annotated[
    float, BeforeValidator(parse_duration, json_schema_input_type=float | int | str)
]
CacheScope = Annotated[
    Literal["off", "job", "ledger"],
    BeforeValidator(_off, json_schema_input_type=Literal["off", "job", "ledger"]),
]


class FileText(Strict):
    """A text that stands in a file of its own, relative to the spec."""

    file: str = Field(description="Read when the job is submitted, and kept.")


Text = Annotated[str, BeforeValidator(lambda value: value, json_schema_input_type=str | FileText)]
"""A text; in the spec also `{file: PATH}`."""


Names = Annotated[list[str], BeforeValidator(as_list, json_schema_input_type=str | list[str])]

"""Base types of the spec's models: strict mappings, short forms, durations, texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    ValidationInfo,
    field_validator,
)
from pydantic.json_schema import JsonSchemaValue

from orc.scheduler.core.durations import parse_duration
from orc.scheduler.core.language.templates import has_template
from orc.scheduler.core.sizes import SIZE_PATTERN, parse_size
from orc.scheduler.core.spec.rendered_keys import Rendered, rendered


def _off(value: Any) -> Any:
    """Accept false for `off`, as YAML 1.1 tools write it."""
    return "off" if value is False else value


IGNORED_PREFIX: Final = "x-"
"""How keys at the top of a spec begin that are ignored: a place for YAML anchors."""
TEMPLATE_PATTERN: Final = r"\$\{\{"
NOTHING: Final = "nothing (null)"
"""How messages name a null, also that of a key with nothing behind it."""


class Strict(BaseModel):
    """Base of a file's mappings: unknown keys, type conversions, and keys without a value are errors.

    A null is a value only of a key that takes any value, of a variable in `env`, and in a mapping
    that sets `takes_null`. Elsewhere it is most often a line that was not finished: as "not given"
    it would drop a condition or a limit.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)
    takes_null: ClassVar[bool] = False
    nullable: ClassVar[frozenset[str]] = frozenset()

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_null(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None:
            return value
        is_any = cls.model_fields[info.field_name or ""].annotation is Any
        is_taken = cls.takes_null or info.field_name in cls.nullable
        if not (is_any or is_taken):
            raise ValueError(no_value())
        return value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: Any, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The schema for editors, which refuses null where the parser does."""
        found = handler(schema)
        names = {field.alias or name: name for name, field in cls.model_fields.items()}
        for key, shape in handler.resolve_ref_schema(found).get("properties", {}).items():
            match shape.get("default", ...):
                case None:
                    del shape["default"]
                case dict() as default:
                    shape["default"] = {k: v for k, v in default.items() if v is not None}
            forms = shape.get("anyOf", [])
            is_taken = cls.takes_null or names.get(key, key) in cls.nullable
            if {"type": "null"} in forms and not is_taken:
                forms.remove({"type": "null"})
                if len(forms) == 1:
                    shape |= {**shape.pop("anyOf")[0], **shape}
            when = rendered(cls, names.get(key, key))
            if when is not None and when != Rendered.INSIDE:
                shape["templates"] = when.value
            if when == Rendered.NEVER and shape.get("type") == "string":
                shape["not"] = {"pattern": TEMPLATE_PATTERN}
        return found


def no_value(remedy: str = "give it a value, or remove the key") -> str:
    """What is wrong with a key with nothing behind it."""
    return f"there is {NOTHING} behind it; {remedy}"


def shown_value(value: Any) -> str:
    """The value in a message, as a person would write it; of a list or a mapping, only what it is."""
    if value is None:
        return NOTHING
    if isinstance(value, dict | list):
        return f"{'a' if value else 'an empty'} {'mapping' if isinstance(value, dict) else 'list'}"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def shorthand(key: str, *types: type) -> Callable[[Any], Any]:
    """A validator that expands a value of these types to a mapping with one key."""

    def expand(value: Any) -> Any:
        return {key: value} if isinstance(value, types) and not isinstance(value, bool) else value

    return expand


def as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class TemplateText(str):
    """A text with `${{ }}` in the place of a value of another type; see `rendered_keys.py`."""


class NoTemplate(ValueError):
    """The value is no template. Its other type is what was meant."""


def _read_template(value: Any) -> TemplateText:
    if not isinstance(value, str) or not has_template(value):
        raise NoTemplate("must have a template")
    return TemplateText(value)


OrTemplate = Annotated[
    TemplateText,
    PlainValidator(
        _read_template, json_schema_input_type=Annotated[str, Field(pattern=TEMPLATE_PATTERN)]
    ),
]
"""Beside another type: a template in its place."""
Filled = Annotated[str, Field(min_length=1)]
"""A text that is not empty."""
Word = Annotated[
    str, BeforeValidator(lambda value: value, json_schema_input_type=str | float | bool)
]
"""A text for a process; in the spec, a number or boolean stands for itself (`words.py`)."""
Variables = dict[str, Word | None]
"""Environment variables by name; null passes the caller's value on."""
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


Names = Annotated[list[str], BeforeValidator(as_list, json_schema_input_type=str | list[str])]

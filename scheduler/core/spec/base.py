"""Base types of the spec's models: strict mappings, short forms, durations, texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Final, Literal, Self

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
from orc.scheduler.core.errors import NOTHING
from orc.scheduler.core.language.templates import has_template
from orc.scheduler.core.sizes import SIZE_PATTERN, parse_size
from orc.scheduler.core.spec.rendered_keys import Rendered, rendered


def _off(value: Any) -> Any:
    """Accept false for `off`, as YAML 1.1 tools write it."""
    return "off" if value is False else value


IGNORED_PREFIX: Final = "x-"
"""How keys at the top of a spec begin that are ignored: a place for YAML anchors."""
TEMPLATE_PATTERN: Final = r"\$\{\{"
_KEY_SETS_MAX = 1000
_set = object.__setattr__


def without_anchors(raw: dict[Any, Any]) -> dict[Any, Any]:
    """The mapping of a job without the keys that are ignored."""
    return {key: item for key, item in raw.items() if not str(key).startswith(IGNORED_PREFIX)}


class Strict(BaseModel):
    """Base of a file's mappings: unknown keys, type conversions, and keys without a value are errors.

    A null is a value only of a key that takes any value, of a variable in `env`, and in a mapping
    that sets `takes_null`. Elsewhere it is most often a line that was not finished: as "not given"
    it would drop a condition or a limit.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)
    takes_null: ClassVar[bool] = False
    nullable: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def of_checked(cls, fields: dict[str, Any]) -> Self:
        """The model with these fields, which need no validation."""
        return super().model_construct(**fields)

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


def shorthand(key: str, *types: type) -> Callable[[Any], Any]:
    """A validator that expands a value of these types to a mapping with one key."""

    def expand(value: Any) -> Any:
        return {key: value} if isinstance(value, types) and not isinstance(value, bool) else value

    return expand


def as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Sparse(BaseModel):
    """Base of mappings with many keys of which most are not given: it holds only the given ones.

    A pydantic model has an entry for each of its fields, also for defaults. That would be most of the
    memory of a step, and of the time of its dump. The class has the defaults of such a model instead.
    Two models are equal if all their fields are.
    """

    model_config = ConfigDict(defer_build=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Give the class the defaults of its fields."""
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            if not field.is_required():
                setattr(cls, name, field.default)

    @classmethod
    def of_checked(cls, fields: dict[str, Any]) -> Self:
        """As `Strict.of_checked`, with an entry for each given field alone."""
        made = cls.__new__(cls)
        _set(made, "__dict__", fields)
        _set(made, "__pydantic_fields_set__", _key_set(fields))
        _set(made, "__pydantic_extra__", None)
        _set(made, "__pydantic_private__", None)
        return made

    def model_post_init(self, context: Any) -> None:
        """Drop the fields that were not given."""
        given, values = self.__pydantic_fields_set__, self.__dict__
        names = _in_order(type(self), frozenset(given))
        _set(self, "__dict__", {name: values[name] for name in names})
        _set(self, "__pydantic_fields_set__", _key_set(given))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sparse) or type(self) is not type(other):
            return NotImplemented
        names = {**self.__dict__, **other.__dict__}
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def __hash__(self) -> int:
        defaults = type(self)
        given = self.__dict__.items()
        return hash(frozenset(one for one in given if getattr(defaults, one[0], ...) != one[1]))


@lru_cache(maxsize=_KEY_SETS_MAX)
def _in_order(model: type[Sparse], given: frozenset[str]) -> tuple[str, ...]:
    """The given fields in the order of the model, which has many more of them."""
    return tuple(name for name in model.model_fields if name in given)


_key_sets: dict[frozenset[str], set[str]] = {}


def _key_set(names: Iterable[str]) -> set[str]:
    """The names as a set that models with the same fields share; no model changes it."""
    found = frozenset(names)
    if len(_key_sets) >= _KEY_SETS_MAX:
        return set(found)
    return _key_sets.setdefault(found, set(found))


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

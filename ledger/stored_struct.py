"""The base of the values that a ledger stores, and their form as JSON.

They are structs, which are checked when they are loaded; that orc makes them rightly, mypy checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from itertools import compress, count
from operator import is_not
from typing import Any, Final, TypeVar

from msgspec import NODEFAULT, Struct, ValidationError, convert
from msgspec.structs import astuple

_PLAIN = frozenset((str, int, float, bool, type(None)))
"""The types of values that are JSON as they are."""


def _refuse(*given: Any, **named: Any) -> Any:
    raise TypeError("a default that all values share cannot be changed")


class _NoEntries(dict[str, Any]):
    def __hash__(self) -> int:  # type: ignore[override]
        return 0

    __setitem__ = __ior__ = setdefault = update = _refuse

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """That of a plain mapping, for the default in a JSON Schema."""
        return handler(dict[str, Any])


class _NoItems(list[Any]):
    def __hash__(self) -> int:  # type: ignore[override]
        return 0

    __iadd__ = append = extend = insert = _refuse

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """That of a plain list, for the default in a JSON Schema."""
        return handler(list[Any])


NO_ENTRIES: Final[Any] = _NoEntries()
"""The empty mapping that is the default of fields: a large job would have thousands of them."""
NO_ITEMS: Final[Any] = _NoItems()
"""The same as a list."""


class Stored(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Base of the values that are stored.

    It forbids unknown fields, so that a value of a newer version is refused, not misread. The default of
    a mapping is NO_ENTRIES. Stored values have no cycles, so that the collector need not know them.
    """


AnyStored = TypeVar("AnyStored", bound=Stored)


def load(model: type[AnyStored], value: Any) -> AnyStored:
    """The inverse of `dump`. Raises msgspec's ValidationError for any other value."""
    return convert(value, model)


def dump(value: Any) -> Any:
    """The value as JSON, with all fields of the structs in it."""
    return _dump(value, _all_fields)


def dump_set(value: Any) -> Any:
    """The value as JSON, without fields that are None."""
    return _dump(value, _set_fields)


def dump_changed(value: Any) -> Any:
    """The value as JSON, without fields that have their default."""
    return _dump(value, _changed_fields)


@cache
def _defaults_in_order(model: type[Stored]) -> tuple[Any, ...]:
    return tuple(default for _, default in fields_in_order(model))


@cache
def fields_in_order(model: type[Stored]) -> tuple[tuple[str, Any], ...]:
    """The fields of a model in order, each with its default; NODEFAULT if it has none."""
    names, last = model.__struct_fields__, model.__struct_defaults__
    defaults = (*[NODEFAULT] * (len(names) - len(last)), *last)
    return tuple(zip(names, defaults, strict=True))


def first_problem(error: ValidationError) -> tuple[str, str]:
    """The place of the first problem in a value, such as `steps[0].id`, and the problem in words."""
    problem, _, path = str(error).partition(" - at `$")
    return path.strip("`.").replace("[...]", ""), problem


def _changed_fields(value: Stored) -> Iterable[tuple[str, Any]]:
    """The fields of the value that do not have their default, in order."""
    fields = fields_in_order(type(value))
    items = astuple(value)
    # A step has some sixty fields, of which most are the objects of their defaults: these are passed
    # over without a step of Python for each.
    for place in compress(count(), map(is_not, items, _defaults_in_order(type(value)))):
        name, default = fields[place]
        item = items[place]
        if item != default or default is NODEFAULT:
            yield name, item


def _all_fields(value: Stored) -> Iterable[tuple[str, Any]]:
    return ((name, getattr(value, name)) for name in value.__struct_fields__)


def _set_fields(value: Stored) -> Iterable[tuple[str, Any]]:
    return (
        (name, item)
        for name in value.__struct_fields__
        if (item := getattr(value, name)) is not None
    )


def _dump(value: Any, fields_of: Callable[[Any], Iterable[tuple[str, Any]]]) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Struct):
        return {
            name: item if type(item) in _PLAIN else _dump(item, fields_of)
            for name, item in fields_of(value)
        }
    if isinstance(value, dict):
        return {key: _dump(item, fields_of) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_dump(item, fields_of) for item in value]
    return value

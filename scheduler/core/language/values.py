"""Values of expressions: as text, as plain JSON types, and looked up by a key or an index."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any

from orc.ledger.bounds import LazyList
from orc.ledger.gathered import GatheredList
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.value_bounds import refuse_unstorable

_SHOWN_CHARS = 80
_PLAIN = frozenset((str, int, float, bool, type(None)))
INDEXED = (list, tuple, str, GatheredList, LazyList)
"""The types of values that have items by number."""


def to_text(value: Any) -> str:
    """The value as text: a string is unchanged, any other value becomes JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(to_plain(value), ensure_ascii=False)


def to_plain(value: Any) -> Any:
    """The value as plain JSON types. Mappings and tuples are converted.

    Raises TemplateError for a value that cannot be stored (`ledger/bounds.py`).
    """
    return as_plain(storable(value))


class LazyMapping(Mapping[str, Any]):
    """A mapping with fields that are read when they are looked up, and are not in the iteration."""


def storable(value: Any) -> Any:
    """The value, read as far as it can be stored. Raises TemplateError if it cannot."""
    if isinstance(value, LazyList):
        value = list(value)
    refuse_unstorable(value)
    return value


def as_plain(value: Any, *, keeps: type | tuple[()] = ()) -> Any:
    """The value as plain JSON types, without a check; mappings of the type `keeps` stay as they are."""
    if type(value) in _PLAIN:
        # Far faster than to find that such a value is no mapping.
        return value
    if isinstance(value, Mapping):
        return value if isinstance(value, keeps) else {key: as_plain(value[key]) for key in value}
    if isinstance(value, list | tuple | LazyList):
        return [as_plain(item, keeps=keeps) for item in value]
    return value


def look_up(value: Any, key: Any) -> Any:
    """The value at a key of a mapping or an index of a list. It never reads attributes.

    Raises TemplateError.
    """
    if isinstance(value, Mapping):
        if key in value:
            return value[key]
        names = ", ".join(str(name)[:_SHOWN_CHARS] for name in islice(value, 8)) or "none"
        raise Missing(f"there is no key {shown(key)}; the keys are: {names}")
    if isinstance(value, INDEXED) and isinstance(key, int) and not isinstance(key, bool):
        if -len(value) <= key < len(value):
            return value[key]
        raise Missing(f"there is no item {shown(key)}; the number of items is {len(value)}")
    raise Missing(f"{kind_of_value(value)} has no key {shown(key)}")


def kind_of_value(value: Any) -> str:
    """What the value is, in the words of the documentation."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case Mapping():
            return "a mapping"
        case _:
            return "a list"


def shown(key: Any) -> str:
    """A key or a value in a message."""
    return repr(key)[:_SHOWN_CHARS]


class Missing(TemplateError):
    """A name or key does not exist. Only this error is handled by `default` and `defined`."""

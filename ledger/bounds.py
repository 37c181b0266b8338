"""The bounds of a JSON value that is to be stored, and the check of a value against them.

Each value passes `check_value` before it decides anything: once it was accepted, it can be
written, read again by any Python, and folded. Pure functions.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from orc.ledger.wording import number_text, size_text

BLOB_BYTES_MAX = 256 * 1024 * 1024
"""The maximum size of a stored value, and of the text in it."""
STORED_BYTES_MIN = 16 * 1024 * 1024
"""Files of steps above this size are kept beside the ledger, not in it (`files/file_store.py`)."""
VALUES_MAX = 5_000_000
"""The maximum number of values inside one value; a key counts as part of its value."""
LEVELS_MAX = 200
INNER_LEVELS_MAX = LEVELS_MAX - 10
"""For inputs and replies, which definitions and recordings contain as parts of one value."""
INTEGER_DIGITS_MAX = 4300
"""The number of digits that Python reads and writes by default (sys.set_int_max_str_digits)."""

_SURELY_SHORT_BITS = 2000
_SMALL = 2**63


class Unstorable(ValueError):
    """A value is over a bound, or is not JSON; the message says what is wrong and what to do."""


class Gathered:
    """A value that is too large to be one; `why_not_one` says so."""

    why_not_one: str


class LazyList(Sequence[Any]):
    """A list whose items are read when they are asked for. As a whole, it is a list like others."""


class Size(NamedTuple):
    """What a value consists of: the number of values in it, and of characters in its texts.

    The digits of integers that exceed 64 bits count as characters."""

    values: int
    chars: int


NOTHING = Size(0, 0)


def check_value(value: Any, *, beside: Size = NOTHING, levels_max: int = LEVELS_MAX) -> Size:
    """The size of a value that can be stored, together with that of values `beside` it.

    It stops at the first bound, so that a value with shared parts costs no more than the bound.
    Raises Unstorable.
    """
    values, chars = beside
    level = [value]
    for _ in range(levels_max):
        values += len(level)
        below: list[Any] = []
        for item in level:
            # By the exact type first: a large value has millions of items.
            kind = type(item)
            if kind is str:
                chars += len(item)
                continue
            if kind is bool or item is None or (kind is int and -_SMALL < item < _SMALL):
                continue
            if isinstance(item, Gathered):
                raise Unstorable(item.why_not_one)
            if kind is dict or isinstance(item, Mapping):
                chars += _chars_of_keys(item)
                below.extend(item.values())
            elif isinstance(item, list | tuple | LazyList):
                below.extend(item)
            else:
                check_scalar(item)
                chars += _chars_of_scalar(item)
            if values + len(below) > VALUES_MAX:
                break
        check_size(Size(values + len(below), chars))
        if not below:
            return Size(values, chars)
        level = below
    limit = min(levels_max, LEVELS_MAX)
    raise Unstorable(
        f"it is nested more than {limit} levels deep; use fewer levels, or keep it as a text"
    )


def check_size(size: Size) -> None:
    """Raise Unstorable for more values or characters than can be stored."""
    if size.values > VALUES_MAX:
        raise Unstorable(
            f"it has more than {number_text(VALUES_MAX)} values; write it to a file instead"
        )
    if size.chars > BLOB_BYTES_MAX:
        raise Unstorable(
            f"it has more than {size_text(BLOB_BYTES_MAX)} of text; write it to a file instead"
        )


def check_scalar(value: Any) -> None:
    """Raise Unstorable for a number that cannot be stored, and for a type that is not JSON's.

    A text, a list or a mapping passes; only `check_value` looks inside.
    """
    if value is None or isinstance(value, str | bool | Mapping | list | tuple):
        return
    if isinstance(value, int):
        if value.bit_length() > _SURELY_SHORT_BITS and abs(value) >= _first_too_long(
            sys.get_int_max_str_digits()
        ):
            raise Unstorable(digits_message())
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Unstorable("it has a number that is infinite or NaN, which JSON does not allow")
    else:
        raise Unstorable(f"it has a {type(value).__name__}, which is not a JSON type")


def digits_message() -> str:
    """What is wrong with an integer that has too many digits."""
    limit = number_text(_digits_max(sys.get_int_max_str_digits()))
    return f"it has an integer of more than {limit} digits; use a smaller number, or a text"


def _chars_of_scalar(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    return value.bit_length() // 3 if isinstance(value, int) else 0


def _chars_of_keys(value: Mapping[Any, Any]) -> int:
    try:
        return sum(map(str.__len__, value))
    except TypeError:
        raise Unstorable("it has a key that is not a text") from None


def _digits_max(limit_of_python: int) -> int:
    # A user can lower Python's limit (PYTHONINTMAXSTRDIGITS); 0 means that there is none.
    return min(INTEGER_DIGITS_MAX, limit_of_python or INTEGER_DIGITS_MAX)


@lru_cache(maxsize=4)
def _first_too_long(limit_of_python: int) -> int:
    """The smallest positive integer that has too many digits."""
    return int(10 ** _digits_max(limit_of_python))

"""Limits for the arguments of filters, so that a short expression cannot produce a huge value.

Also the words for a value that a filter cannot use.

The filters are Jinja's; the list of allowed filters is in `evaluation.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any

from orc.ledger.bounds import INTEGER_DIGITS_MAX, check_value
from orc.ledger.wording import number_text
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.value_bounds import check_length, check_operands
from orc.scheduler.core.language.values import kind_of_value

PRECISION_MAX = 400
"""More than the digits of any float."""
_NUMBER_CHARS_MAX = 30
"""More than the characters of a float, or of an integer of 64 bits."""

_PARAMETERS = {
    "indent": ("width",),
    "join": ("d",),
    "replace": ("old", "new", "count"),
    "round": ("precision",),
    "sum": ("attribute", "start"),
}


_NEEDED: dict[str, tuple[str, type | UnionType]] = {
    **dict.fromkeys(("abs", "round"), ("a number", int | float)),
    **dict.fromkeys(("dictsort", "items"), ("a mapping", Mapping)),
    **dict.fromkeys(("count", "length"), ("a text, a list or a mapping", str | list | Mapping)),
    **dict.fromkeys(
        ("first", "last", "list", "max", "min", "reverse", "sort", "sum"),
        ("a list", str | list | Mapping),
    ),
}
_OF_ONE_KIND = {
    **dict.fromkeys(
        ("max", "min", "sort"),
        "the items have no order: all must be numbers, or all texts; of mappings, name an `attribute`",
    ),
    "sum": "the items are not all numbers",
}


def check_filter(
    name: str, value: Any, arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> None:
    """Raise TemplateError for a filter whose result would be too large.

    Arguments of a wrong type are left to the filter.
    """
    given = {**dict(zip(_PARAMETERS.get(name, ()), arguments, strict=False)), **keywords}
    match name:
        case "round" if _is_number(given.get("precision", 0)):
            if abs(given.get("precision", 0)) > PRECISION_MAX:
                raise TemplateError(f"the precision must be at most {PRECISION_MAX}")
        case "sum" if "start" in given and not _is_number(given["start"]):
            raise TemplateError("the start of a sum must be a number")
        case "indent" if isinstance(value, str):
            width = given.get("width", 4)
            width = len(width) if isinstance(width, str) else width
            check_length((value.count("\n") + 1) * width if _is_number(width) else 0)
        case "join" if isinstance(value, list | str | dict):
            check_length(_joined_chars(value) + len(value) * len(str(given.get("d", ""))))
        case "list" | "sort" | "unique" if isinstance(value, str):
            check_operands(value)
        case "int" if isinstance(value, str) and _is_long_integer(value):
            # Jinja would give the default, as if the text were no number.
            raise TemplateError(
                f"the text has more than {number_text(INTEGER_DIGITS_MAX)} digits, which is too "
                "long for an integer"
            )
        case "replace" if {"old", "new"} <= given.keys():
            times = str(value).count(str(given["old"]))
            if _is_number(given.get("count")):
                times = min(times, int(given["count"]))
            check_length(times * len(str(given["new"])))


def describe_misfit(name: str, value: Any, error: Exception) -> str | None:
    """Why a filter of Jinja cannot do with the value, where its own words would be those of Python."""
    needed, types = _NEEDED.get(name, ("", object))
    if not isinstance(value, types) or (isinstance(value, bool) and needed == "a number"):
        return f"needs {needed}; got {kind_of_value(value)}"
    return _OF_ONE_KIND.get(name) if isinstance(error, TypeError) else None


def _joined_chars(value: list[Any] | str | dict[str, Any]) -> int:
    """At least the number of characters of the items as texts."""
    return sum(len(item) if isinstance(item, str) else _chars_of(item) for item in value)


def _chars_of(item: Any) -> int:
    size = check_value(item)
    return size.chars + _NUMBER_CHARS_MAX * size.values


def _is_long_integer(text: str) -> bool:
    digits = text.strip().lstrip("+-").replace("_", "")
    return len(digits) > INTEGER_DIGITS_MAX and digits.isdecimal()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

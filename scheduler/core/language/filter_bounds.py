"""Limits for the arguments of filters, so that a short expression cannot produce a huge value.

The filters are Jinja's; the list of allowed filters is in `evaluation.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orc.ledger.wording import size_text
from orc.scheduler.core.errors import TemplateError

RESULT_CHARS_MAX = 64 * 1024 * 1024
"""The maximum length of a text."""
PRECISION_MAX = 400
"""More than the digits of any float."""

_PARAMETERS = {
    "indent": ("width",),
    "join": ("d",),
    "replace": ("old", "new", "count"),
    "round": ("precision",),
    "sum": ("attribute", "start"),
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
            _check_length((value.count("\n") + 1) * width if _is_number(width) else 0)
        case "join" if isinstance(value, list | str | dict):
            _check_length(len(value) * len(str(given.get("d", ""))))
        case "replace" if {"old", "new"} <= given.keys():
            times = str(value).count(str(given["old"]))
            if _is_number(given.get("count")):
                times = min(times, int(given["count"]))
            _check_length(times * len(str(given["new"])))


def _check_length(chars: float) -> None:
    if chars > RESULT_CHARS_MAX:
        raise TemplateError(f"the text would have more than {size_text(RESULT_CHARS_MAX)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

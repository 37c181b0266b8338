"""What a filter of a template may be asked for, so that a short expression makes nothing giant.

The filters themselves are Jinja's; which of them there are is `evaluation.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orc.ledger.wording import size_text
from orc.scheduler.core.errors import TemplateError

RESULT_CHARS_MAX = 64 * 1024 * 1024
"""How long a text may become."""
PRECISION_MAX = 400
"""No float has more digits."""

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
    """Refuse a filter whose result would be out of all proportion. Raises TemplateError.

    Arguments of a wrong type are left to the filter itself.
    """
    given = {**dict(zip(_PARAMETERS.get(name, ()), arguments, strict=False)), **keywords}
    match name:
        case "round" if _is_number(given.get("precision", 0)):
            if abs(given.get("precision", 0)) > PRECISION_MAX:
                raise TemplateError(f"a precision is {PRECISION_MAX} at most")
        case "sum" if "start" in given and not _is_number(given["start"]):
            raise TemplateError("the start of a sum is a number")
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
        raise TemplateError(f"the text would be over {size_text(RESULT_CHARS_MAX)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

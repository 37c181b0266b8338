"""What a score can be: a finite number or a boolean, with an explanation of bounded length."""

from __future__ import annotations

import math
from typing import Any

from orc.ledger.events import Payload
from orc.ledger.packing import pack
from orc.ledger.stored import FLOAT_MAX
from orc.ledger.wording import count_text
from orc.scheduler.core.errors import TemplateError

WHY_CHARS_MAX = 10_000
"""The maximum length of an explanation."""
ERROR_CHARS_MAX = 1000
"""The maximum length of the message of a broken expression."""
_SHOWN_CHARS = 80


def number_or_boolean(value: Any) -> bool | float:
    """The value of a score. Raises TemplateError if it is no finite number and no boolean."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if abs(number) <= FLOAT_MAX:
            return number
        raise TemplateError("the value is infinite, not a number, or too large for a score")
    raise TemplateError(
        f"a score is a number or a boolean; the expression gave {_shown(value)}"
        + ("; `| float` makes a number of a text" if isinstance(value, str) else "")
    )


def explanation(text: str) -> tuple[Payload, bytes | None]:
    """The payload of an explanation, which is cut at its maximum length, and its blob."""
    if len(text) > WHY_CHARS_MAX:
        said = f"\n... (cut: the explanation has {count_text(len(text), 'character')})"
        text = text[: WHY_CHARS_MAX - len(said)] + said
    return pack(text)


def _shown(value: Any) -> str:
    if value is None:
        return "nothing (null)"
    if isinstance(value, str):
        return f"the text {value[:_SHOWN_CHARS]!r}{'...' * (len(value) > _SHOWN_CHARS)}"
    return "a mapping" if isinstance(value, dict) else f"a {type(value).__name__}"

"""The values of plain YAML scalars: those without quotes."""

from __future__ import annotations

import math
import re
from typing import Any

from orc.ledger.bounds import INTEGER_DIGITS_MAX, digits_message

_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_FIRST_OF_NUMBER = frozenset("+-.0123456789")
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(
    r"[-+]?((0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+|(0|[1-9][0-9]*)(?=[eE]))([eE][-+]?[0-9]+)?\Z"
)


def read_plain(text: str) -> Any:
    """The value of a plain scalar. Raises ValueError for an integer with too many digits."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _FIRST_OF_NUMBER:
        return text
    if _INT.match(text):
        if len(text) > INTEGER_DIGITS_MAX:
            raise ValueError(digits_message())
        return int(text)
    # A number that is too large for a float stays a text, such as the id 12e4567.
    if _FLOAT.match(text) and math.isfinite(float(text)):
        return float(text)
    return text

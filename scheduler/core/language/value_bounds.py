"""Limits for the values that expressions compute, so that each of them can be stored.

An operator's operands and result are checked before the next operator uses them. A condition
is therefore never decided by a value that no event could hold. The bounds of a stored value are in
`ledger/bounds.py`, those of the filters' arguments in `filter_bounds.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orc.ledger.bounds import Unstorable, check_scalar, check_value
from orc.ledger.wording import number_text, size_text
from orc.scheduler.core.errors import TemplateError

OPERAND_LENGTH_MAX = 1_000_000
"""The maximum number of characters or items of an operator's operand."""
TEXT_CHARS_MAX = 64 * 1024 * 1024
"""The maximum length of a text that a template or an expression builds."""


def check_operands(*operands: Any) -> None:
    """Raise TemplateError for a text or a list that is too long for an operator."""
    for operand in operands:
        if isinstance(operand, str | list) and len(operand) > OPERAND_LENGTH_MAX:
            raise TemplateError(
                f"an operand has more than {number_text(OPERAND_LENGTH_MAX)} characters or items; "
                "use a filter or a step instead"
            )


def check_result(result: Any) -> Any:
    """The result of an operator or a filter. Raises TemplateError if it is over a bound."""
    if isinstance(result, str):
        check_length(len(result))
        return result
    try:
        check_scalar(result)
    except Unstorable as error:
        raise TemplateError(f"the result cannot be used: {error}") from None
    return result


def refuse_unstorable(value: Any) -> None:
    """Raise TemplateError for a value that cannot be stored."""
    try:
        check_value(value)
    except Unstorable as error:
        raise TemplateError(f"the value cannot be stored: {error}") from None


def join_texts(texts: Iterable[str]) -> str:
    """The texts as one. Raises TemplateError before it would become too long."""
    parts: list[str] = []
    chars = 0
    for text in texts:
        chars += len(text)
        check_length(chars)
        parts.append(text)
    return "".join(parts)


def check_length(chars: float) -> None:
    """Raise TemplateError for a text of more characters than a template may build."""
    if chars > TEXT_CHARS_MAX:
        raise TemplateError(f"the text would have more than {size_text(TEXT_CHARS_MAX)}")

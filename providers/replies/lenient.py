"""Types for what a reply only informs about: an unexpected shape becomes None and not an error."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from orc.providers.http import replace_surrogates
from orc.providers.reply_bounds import TOKENS_MAX

_T = TypeVar("_T")


def read_count(value: object) -> int | None:
    """A number of tokens; None for what is not one, or is too large to be recorded."""
    if isinstance(value, str) and value.strip().isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= TOKENS_MAX else None


def read_word(value: object) -> str | None:
    """A text; a number as text; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    return replace_surrogates(value) if isinstance(value, str) else None


def _or_none(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(value)
    except ValidationError:
        return None


LooseCount = Annotated[int | None, BeforeValidator(read_count)]
"""A number of tokens, or an index; None if it is not one."""
LooseText = Annotated[str | None, BeforeValidator(read_word)]
"""An id, a name or another text that only informs; None if it is not one."""
OrNone = WrapValidator(_or_none)
"""In `Annotated[X | None, OrNone]`: None if the value does not have the shape of X."""

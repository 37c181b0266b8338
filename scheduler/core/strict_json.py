"""Strict JSON (RFC 8259): no NaN or infinity, no duplicate keys, and the bounds of the ledger."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from orc.ledger.bounds import LEVELS_MAX, Unstorable, check_value, digits_message
from orc.ledger.digest import clean_json

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(text: str, *, levels_max: int = LEVELS_MAX, is_exact: bool = False) -> Any:
    """The JSON value in the text.

    A byte order mark before it is skipped. A lone surrogate, which UTF-8 cannot hold, becomes U+FFFD,
    or is refused if `is_exact`. Raises ValueError for invalid JSON, duplicate keys, NaN and infinite
    numbers; of these, Unstorable for a value over the bounds of `ledger/bounds.py`.
    """
    try:
        value = _DECODER.decode(text.removeprefix("\ufeff"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        # Python refuses to read the digits of a long integer, in words about itself.
        if "set_int_max_str_digits" in str(error):
            raise Unstorable(digits_message()) from None
        raise
    check_value(value, levels_max=levels_max)
    cleaned = clean_json(value)
    if is_exact and _SURROGATE.search(text) and cleaned != value:
        raise ValueError(r"half of a pair of surrogates, such as \ud83d alone, is not a character")
    return cleaned


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return found


# Made once, since `json.loads` makes one for each text.
_DECODER = json.JSONDecoder(
    parse_constant=_refuse_constant, object_pairs_hook=_object, parse_float=_float
)

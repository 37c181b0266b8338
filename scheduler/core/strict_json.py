"""Strict JSON (RFC 8259): no NaN or infinity, no duplicate keys, and limited nesting."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from orc.ledger.digest import clean_json

JSON_DEPTH_MAX = 200


def parse_json(text: str) -> Any:
    """The JSON value in the text.

    Raises ValueError for invalid JSON, duplicate keys, NaN, infinite numbers, and more than 200
    levels.
    """
    try:
        value = json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=_object, parse_float=_float
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    check_depth(value)
    return clean_json(value)


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


def check_depth(value: Any) -> None:
    """Raise ValueError for a value that is nested more than 200 levels deep."""
    level = [value]
    for _ in range(JSON_DEPTH_MAX):
        level = [
            item
            for parent in level
            if isinstance(parent, dict | list)
            for item in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return
    raise ValueError(f"nested more than {JSON_DEPTH_MAX} levels deep")

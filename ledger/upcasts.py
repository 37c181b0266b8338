"""Upcasts: functions that convert event data from an older shape to the next shape.

The key of an entry in `UPCASTS` is (event type, shape that the function reads). Upcasts run
when events are read; stored bytes are never rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orc.ledger.errors import CorruptLedger, LedgerTooNew

Upcast = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTS: dict[tuple[str, int], Upcast] = {}


def upcast(
    type_name: str,
    data: dict[str, Any],
    *,
    target: int,
    upcasts: Mapping[tuple[str, int], Upcast] = UPCASTS,
) -> dict[str, Any]:
    """The data in shape `target`, without the key `v`.

    Raises LedgerTooNew if the data has a newer shape than `target`, CorruptLedger if its shape is
    none.
    """
    shape = data.get("v", 1)
    if type(shape) is not int or shape < 1:
        raise CorruptLedger(f"a {type_name} event has no valid shape; run `orc verify`")
    fields = {name: value for name, value in data.items() if name != "v"}
    if shape > target:
        raise LedgerTooNew(
            f"a {type_name} event has shape {shape}, and this version of orc knows shapes up to "
            f"{target}; install a newer one"
        )
    while shape < target:
        fields = upcasts[type_name, shape](fields)
        shape += 1
    return fields

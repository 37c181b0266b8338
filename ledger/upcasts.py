"""Upcasts: how data in an event's older shape becomes data in the next one.

Each entry of `UPCASTS` is keyed by (event type, the shape it reads) and gives
the data of the shape after it. Stored bytes are never rewritten: this happens
when they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orc.ledger.errors import LedgerTooNew

Upcast = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTS: dict[tuple[str, int], Upcast] = {}


def upcast(
    type_name: str,
    data: dict[str, Any],
    *,
    target: int,
    upcasts: Mapping[tuple[str, int], Upcast] = UPCASTS,
) -> dict[str, Any]:
    """The data in shape `target`, without its `v`.

    Raises LedgerTooNew when the data is in a shape beyond the target.
    """
    shape = data.get("v", 1)
    fields = {name: value for name, value in data.items() if name != "v"}
    if shape > target:
        raise LedgerTooNew(
            f"a {type_name} event has shape {shape}, and this orc knows {target}; install a newer one"
        )
    while shape < target:
        fields = upcasts[type_name, shape](fields)
        shape += 1
    return fields

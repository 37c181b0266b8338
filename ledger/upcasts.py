"""Upcasts: functions that convert event data from an older shape to the next shape.

The key of an entry in `UPCASTS` is (event type, shape that the function reads). Upcasts run
when events are read; stored bytes are never rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orc.ledger.command_lines import quoted_command
from orc.ledger.errors import CorruptLedger, LedgerTooNew
from orc.ledger.money import nearest_nano_usd

Upcast = Callable[[dict[str, Any]], dict[str, Any]]


def _to_nano_usd(data: dict[str, Any], name: str) -> dict[str, Any]:
    """The fields with `<name>_nano_usd` in place of a float of US dollars in `<name>_usd`."""
    fields = dict(data)
    if f"{name}_usd" in fields:
        fields[f"{name}_nano_usd"] = _nano_usd(fields.pop(f"{name}_usd"))
    return fields


def _nano_usd(usd: Any) -> Any:
    # Any other value stays, and is refused by the model of the event.
    return nearest_nano_usd(usd) if type(usd) in (int, float) else usd


def _requested_in_nano_usd(data: dict[str, Any]) -> dict[str, Any]:
    inside = {
        name: _to_nano_usd(data[name], "cost")
        for name in ("reserved", "worst_case")
        if isinstance(data.get(name), dict)
    }
    return data | inside


def _charged_in_nano_usd(data: dict[str, Any]) -> dict[str, Any]:
    return _to_nano_usd(data, "charged")


def _exceeded_in_nano_usd(data: dict[str, Any]) -> dict[str, Any]:
    names = ("maximum", "spent", "needed")
    convert = _nano_usd if data.get("limit") == "max_cost_usd" else _whole
    return data | {name: convert(data[name]) for name in names if name in data}


def _whole(amount: Any) -> Any:
    return int(amount) if type(amount) is float and amount.is_integer() else amount


def _raised_in_nano_usd(data: dict[str, Any]) -> dict[str, Any]:
    return _to_nano_usd(data, "max_cost")


UPCASTS: dict[tuple[str, int], Upcast] = {
    # Shape 2: amounts of money are nano-dollars, and all amounts are whole.
    ("budget.exceeded", 1): _exceeded_in_nano_usd,
    ("budget.raised", 1): _raised_in_nano_usd,
    ("llm.failed", 1): _charged_in_nano_usd,
    ("llm.requested", 1): _requested_in_nano_usd,
    ("llm.responded", 1): _charged_in_nano_usd,
}


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
        raise CorruptLedger(
            f"a {type_name} event has no valid shape; run {quoted_command('verify')}"
        )
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

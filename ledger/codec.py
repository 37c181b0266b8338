"""Converts events to the `data` column and back, always in the event type's current shape."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, ValidationError

from orc.ledger.command_lines import quoted_command
from orc.ledger.digest import canonical_json
from orc.ledger.errors import LedgerTooNew
from orc.ledger.events import EVENT_TYPES, SHAPES, AnyEvent
from orc.ledger.secrets.masking import Mask
from orc.ledger.stored_struct import load, what_is_wrong
from orc.ledger.upcasts import upcast

_COLUMNS = ("step", "attempt")
_PLAIN = frozenset((str, int, float, bool, dict, list))
"""The types of values that are the same in the `data` column."""


def dump_event(event: AnyEvent) -> dict[str, Any]:
    """The event's fields for the `data` column, without None; `v` is the shape if it is not 1."""
    data = {
        name: value if type(value) in _PLAIN else _plain(value)
        for name in event.__struct_fields__
        if (value := getattr(event, name)) is not None and name not in _COLUMNS
    }
    shape = SHAPES.get(event.type)
    if shape is not None:
        data["v"] = shape
    return data


def mask_event(mask: Mask, event: AnyEvent) -> AnyEvent:
    """The event with secrets in its `data` masked; the same object if it contains none."""
    if not mask:
        return event
    data = dump_event(event)
    if mask.find(canonical_json(data)) is None:
        return event
    step, attempt = getattr(event, "step", None), getattr(event, "attempt", None)
    return load_event(event.type, step=step, attempt=attempt, data=mask.value(data))


def load_event(
    type_name: str, *, step: str | None, attempt: int | None, data: dict[str, Any]
) -> AnyEvent:
    """The event of a stored row, upcast to the current shape; `data` may be changed by the call.

    Raises LedgerTooNew if this version of orc does not know its type, shape or fields, and
    CorruptLedger for a shape that no version has.
    """
    model = EVENT_TYPES.get(type_name)
    if model is None:
        raise LedgerTooNew(
            f"this version of orc does not know the event type {type_name!r}; install a newer one"
        )
    target = SHAPES.get(type_name, 1)
    fields = data if target == 1 and "v" not in data else upcast(type_name, data, target=target)
    if step is not None:
        fields["step"] = step
        if attempt is not None:
            fields["attempt"] = attempt
    try:
        return load(model, fields)
    except ValidationError as error:
        where, problem = what_is_wrong(error)
        raise LedgerTooNew(
            f"cannot read a {type_name} event: {where}: {problem}; a newer version of orc may "
            f"have written it (run {quoted_command('verify')} to check whether it was changed)"
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        return {
            name: item if type(item) in _PLAIN else _plain(item)
            for name in value.__struct_fields__
            if (item := getattr(value, name)) is not None
        }
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value

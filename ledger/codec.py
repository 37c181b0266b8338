"""Converts events to the `data` column and back, always in the event type's current shape.

`row_to_recorded` decodes the text straight to the event if nothing in the row is unusual. Whatever that
refuses, the careful functions read or refuse: they alone define what is accepted, and how the rest is
refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from msgspec import MsgspecError, Struct, ValidationError
from msgspec.json import Decoder
from msgspec.structs import asdict

from orc.ledger.command_lines import quoted_command
from orc.ledger.digest import canonical_json
from orc.ledger.errors import LedgerTooNew
from orc.ledger.events import EVENT_TYPES, SHAPES, AnyEvent, FileRef, FileWritten, Payload, Recorded
from orc.ledger.secrets.masking import Mask
from orc.ledger.step_names import STEP_CHARS_MAX
from orc.ledger.stored import (
    ATTEMPT_MAX,
    DEPTH_MAX,
    FLOAT_MAX,
    UNEXPECTED,
    check_event,
    check_mode,
    check_number,
    check_path,
    good_ids,
    good_times,
    is_good_job,
    is_good_time,
    parse_json,
)
from orc.ledger.stored_struct import dump_set, first_problem, load
from orc.ledger.upcasts import upcast

_decode = Decoder().decode

STREAM_COLUMNS = "job_id, version, type, step, attempt, recorded_at, data, hash"
"""The columns of an event that are the same in each ledger which has its job, in order."""
EVENT_COLUMNS = f"position, {STREAM_COLUMNS}"
"""The columns of a row for `row_to_recorded`, in order."""
INSERT_EVENT = f"INSERT INTO events ({STREAM_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

_COLUMNS = ("step", "attempt")
_PLAIN = frozenset((str, int, float, bool, dict, list))
"""The types of values that are the same in the `data` column."""


def dump_event(event: AnyEvent) -> dict[str, Any]:
    """The event's fields for the `data` column, without None; `v` is the shape if it is not 1."""
    names, values_of = _fields_of(type(event))
    data = {
        name: value if type(value) in _PLAIN else dump_set(value)
        for name, value in zip(names, values_of(event), strict=True)
        if value is not None
    }
    shape = SHAPES.get(event.type)
    if shape is not None:
        data["v"] = shape
    return data


@cache
def _fields_of(model: type[AnyEvent]) -> tuple[tuple[str, ...], Callable[[AnyEvent], Any]]:
    """The fields in the `data` column, and what gives their values of an event in this order."""
    names = tuple(name for name in model.__struct_fields__ if name not in _COLUMNS)
    if len(names) > 1:
        return names, attrgetter(*names)
    return names, lambda event: [getattr(event, name) for name in names]


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
        where, problem = first_problem(error)
        raise LedgerTooNew(
            f"cannot read a {type_name} event: {where}: {problem}; a newer version of orc may "
            f"have written it (run {quoted_command('verify')} to check whether it was changed)"
        ) from None


def parse_text(text: str) -> Any:
    """What `parse_json` returns or raises for a text, faster."""
    try:
        return _decode(text)
    except (MsgspecError, UnicodeError, RecursionError):
        # Something is wrong with the text, or with a number in it.
        return parse_json(text)


def row_to_recorded(row: tuple[Any, ...]) -> Recorded:
    """The event of a row with `EVENT_COLUMNS`.

    Raises CorruptLedger if a value is none that orc writes, and what `load_event` raises.
    """
    try:
        found = _usual(row)
    except (MsgspecError, *UNEXPECTED):
        found = None
    return read_carefully(row) if found is None else found


def read_carefully(row: tuple[Any, ...]) -> Recorded:
    """What `row_to_recorded` returns or raises for any row."""
    fields, has_large = check_event(row)
    position, job_id, version, type_name, step, attempt, recorded_at, _, digest = row
    event = load_event(type_name, step=step, attempt=attempt, data=fields)
    if has_large:
        _check_numbers(event, where=f"event {version} of {job_id}")
    _check_files(row, event)
    return Recorded(job_id, version, recorded_at, event, position, digest)


def _usual(row: tuple[Any, ...]) -> Recorded | None:
    """The event of a row in which nothing is unusual; otherwise None, or any of several errors.

    Each check of `check_event` is made here, too, or follows from another one: a value that is no text
    is no type of an event, for example.
    """
    position, job_id, version, type_name, step, attempt, recorded_at, data, digest = row
    way = _ways.get(type_name) or _way_of(type_name)
    if way is None:
        return None
    decode, amounts, is_first, with_files = way
    if type(data) is not str:
        return None
    if step is None:
        if attempt is not None:
            return None
    elif (
        # Such a text is a text of JSON as it is.
        not step.isprintable()
        or '"' in step
        or "\\" in step
        or not 0 < len(step) <= STEP_CHARS_MAX
        or step == "."
        or step == ".."
        or data[-1] != "}"
        or len(data) < _LEAST
    ):
        return None
    # The columns come last, and the last field of a name counts. If the text were not that of an
    # object, the longer one would not be either: a comma and a field fit nowhere else before its end.
    elif attempt is None:
        data = f'{data[:-1]},"step":"{step}"}}'
    elif type(attempt) is int and 0 <= attempt <= ATTEMPT_MAX:
        data = f'{data[:-1]},"step":"{step}","attempt":{attempt}}}'
    else:
        return None
    event = decode(data)
    if (
        type(version) is not int
        or type(digest) is not str
        or (version == 1) is not is_first
        or not (job_id in good_ids or is_good_job(job_id))
        or not (recorded_at in good_times or is_good_time(recorded_at))
        or (len(data) > DEPTH_MAX and data.count("[") + data.count("{") > DEPTH_MAX)
        or type(event) is _OlderShape
        # A number that is not that of the column has not been looked at.
        or (attempt is None and getattr(event, "attempt", None) is not None)
        or (amounts is not None and _is_large(amounts(event)))
    ):
        return None
    if with_files:
        _check_files(row, event)
    return _new(Recorded, (job_id, version, recorded_at, event, position, digest))


_LEAST = len('{"":0}')
"""The length of the shortest object that has a field."""
_new: Callable[[type[Recorded], tuple[Any, ...]], Recorded] = tuple.__new__
"""Faster than the constructor of a named tuple, which is a function of Python."""


class _OlderShape(Struct, tag_field="v", tag=0):
    """No event: beside it, the decoder requires the shape of an event whose type has had several."""


class _Way(NamedTuple):
    """How the usual events of a type are read. `amounts` gets the values that have numbers."""

    decode: Callable[[str], Any]
    amounts: Callable[[Any], tuple[Any, ...]] | None
    is_first: bool
    with_files: bool


_ways: dict[Any, _Way] = {}


def _way_of(type_name: Any) -> _Way | None:
    model = EVENT_TYPES.get(type_name)
    if model is None:
        return None
    decoder: Decoder[Any] = Decoder(model | _OlderShape if type_name in SHAPES else model)
    names = [name for name in _with_numbers(model) if name not in _COLUMNS]
    way = _ways[type_name] = _Way(
        decoder.decode,
        _getter(names),
        type_name == "job.submitted",
        type_name in _WITH_FILES,
    )
    return way


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]] | None:
    """A function that gets several fields; None without fields."""
    # With one name, attrgetter would return the value itself.
    return attrgetter(*names, *(names if len(names) == 1 else ())) if names else None


@cache
def _amounts_of(model: type[Struct]) -> Callable[[Any], tuple[Any, ...]] | None:
    return _getter(_with_numbers(model))


def _with_numbers(model: type[Struct]) -> list[str]:
    """The fields of a model in which `_check_numbers` may find a number."""
    hints = get_type_hints(model)
    return [name for name in model.__struct_fields__ if _may_have_number(hints[name])]


def _may_have_number(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, int | float | Struct):
        return hint is not bool
    # A mapping is not checked.
    return hint is Any or (
        get_origin(hint) is not dict and any(map(_may_have_number, get_args(hint)))
    )


def _is_large(values: tuple[Any, ...]) -> bool:
    """Whether one of the values is a large number, or has one; a bit more often than those refused.

    The value in a payload does not count: it comes from a model or a command.
    """
    for value in values:
        if value is None:
            continue
        if type(value) is float or type(value) is int:
            if not -FLOAT_MAX <= value <= FLOAT_MAX:
                return True
        elif type(value) is tuple:
            if value and _is_large(value):
                return True
        elif type(value) is Payload:
            # Most payloads have neither.
            has_any = value.size_bytes is not None or value.parts is not None
            if has_any and _is_large((value.size_bytes, value.parts)):
                return True
        elif isinstance(value, Struct):
            amounts = _amounts_of(type(value))
            if amounts is not None and _is_large(amounts(value)):
                return True
    return False


def _check_numbers(values: Any, *, where: str) -> None:
    """Check the numbers of an event; those of JSON that came from models and commands may be large."""
    items = asdict(values).items() if isinstance(values, Struct) else (("it", v) for v in values)
    for name, value in items:
        if isinstance(value, int | float):
            is_from_outside = isinstance(values, Payload) and name != "size_bytes"
            if not is_from_outside:
                check_number(value, name=name, where=where)
        elif isinstance(value, Struct | tuple):
            _check_numbers(value, where=where)


_WITH_FILES = frozenset(("file.written", "step.reused", "step.succeeded", "step.failed"))


def _check_files(row: tuple[Any, ...], event: AnyEvent) -> None:
    """Raise CorruptLedger if a file is outside the job's folder, or has no valid mode."""
    _, job_id, version, type_name, _, _, _, data, _ = row
    # Most events name no file. An escape in the data could hide that one does.
    if type_name in _WITH_FILES and ('"path"' in data or "\\" in data):
        where = f"event {version} of {job_id}"
        for file in _files_of(event):
            check_path(file.path, where=where)
            check_mode(file.mode, where=where)


def _files_of(event: AnyEvent) -> Iterable[FileRef | FileWritten]:
    if isinstance(event, FileWritten):
        return [event]
    return [*(getattr(event, "files", None) or ()), *(getattr(event, "artifacts", None) or ())]

"""Lines of `events.jsonl` from the stored data of events, in a fraction of the time of `jsonl.py`.

The data is canonical JSON, so that the texts of its values stay as they are: a line differs by the
order of the fields, which a struct for each type has, and by spaces. What cannot be done in this
way, such as data of an older shape, is done by `jsonl.py` from the event. Where another program has
written the data in another form of JSON, a line may keep this form; `verify.py` accepts both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from json.encoder import encode_basestring_ascii
from typing import Any, Literal, get_args, get_origin, get_type_hints

from msgspec import NODEFAULT, UNSET, MsgspecError, Raw, UnsetType, defstruct
from msgspec import json as fast_json

from orc.ledger.digest import canonical_json
from orc.ledger.events import EVENT_TYPES, SHAPES, Event, StoredEvent
from orc.ledger.stored_struct import Stored, fields_in_order
from orc.projections.folder.jsonl import event_line

_COLUMNS = ("step", "attempt")
_encode = fast_json.Encoder().encode
_format = fast_json.format
_quoted = encode_basestring_ascii
_Decode = Callable[[str], Any]
_Find = Callable[[str], Any]


def stored_lines(stored: Sequence[StoredEvent]) -> bytes:
    """The lines of stored events, each with its newline."""
    lines = []
    forms: dict[str, tuple[str, _Decode, _Find | None]] = {}
    bodies: dict[str, str] = {}
    before = ""
    for recorded, data in stored:
        job_id, version, recorded_at, event, _, link = recorded
        kind = event.type
        if recorded_at != before:
            before, forms = recorded_at, {}
        form = forms.get(kind)
        if form is None:
            head = (
                f'{{"type": "{kind}", "job_id": "{job_id}", "timestamp": "{recorded_at}", "seq": '
            )
            forms[kind] = form = (head, *_form_of(kind))
        head, decode, find = form
        # The attempts of steps that need no other step start with the same data.
        is_shared = event.type == "step.started" and not event.needs
        body = bodies.get(data) if is_shared else None
        if body is None:
            body = _body(data, decode, find) if link else None
            if body is None:
                lines.append(f"{event_line(recorded)}\n")
                continue
            if is_shared:
                bodies[data] = body
        step, attempt = getattr(event, "step", None), getattr(event, "attempt", None)
        place = "" if step is None else f', "step": {_quoted(step)}'
        if attempt is not None:
            place = f'{place}, "attempt": {attempt}'
        lines.append(f'{head}{version}, "hash": {_quoted(link)}{place}{body}\n')
    text = "".join(lines)
    # Only a text has this character; `jsonl.py` escapes it, too.
    return (text.replace("\x7f", "\\u007f") if "\x7f" in text else text).encode()


def _body(data: str, decode: _Decode, find: _Find | None) -> str | None:
    """The end of the line of an event with this data; None if it is not made of the data's texts."""
    # A null is left out, a number may be converted, and text that is not ASCII is escaped.
    if ":null" in data or not data.isascii() or (find and find(data)):
        return None
    try:
        body = _format(_encode(decode(data)), indent=0).decode()
    except (MsgspecError, RecursionError):
        return None
    return f", {body[1:]}" if len(body) > 2 else "}"


@cache
def _form_of(kind: str) -> tuple[_Decode, _Find | None]:
    """What decodes the data of a type of events, and what finds a number that its model converts."""
    model = EVENT_TYPES[kind]
    names = "|".join(sorted(set(_real_numbers(model))))
    find = re.compile(rf'"(?:{names})":-?\d+[,}}]').search if names else None
    return fast_json.Decoder(_form(model, shape=SHAPES.get(kind))).decode, find


@cache
def _form(model: type[Stored], *, shape: int | None = None) -> Any:
    """A struct with the model's fields in their order, and texts of JSON as their values.

    It refuses unknown fields. A field with values of the model itself is one.
    """
    hints = get_type_hints(model)
    fields: list[Any] = []
    for name, default in fields_in_order(model):
        parts = _parts(hints[name])
        if model in parts or _is_column(name, model):
            continue
        kind: Any = Raw
        for part in parts:
            is_list = any(get_origin(hint) is tuple for hint in _inner(hints[name]))
            kind = tuple[_form(part), ...] if is_list else _form(part)  # type: ignore[misc]
        if default is NODEFAULT:
            fields.append((name, kind))
        elif default is None:
            fields.append((name, kind | UnsetType, UNSET))
        else:
            assert kind is Raw or default == ()
            value = Raw(canonical_json(default).encode()) if kind is Raw else default
            fields.append((name, kind, value))
    if shape is not None:
        fields.append(("v", Literal[shape]))
    return defstruct(f"{model.__name__}Form", fields, kw_only=True, forbid_unknown_fields=True)


def _is_column(name: str, model: type[Stored]) -> bool:
    return name in _COLUMNS and issubclass(model, Event)


def _inner(hint: Any) -> Iterator[Any]:
    """The type and all types in it."""
    yield hint
    for inner in get_args(hint):
        yield from _inner(inner)


def _parts(hint: Any) -> list[type[Stored]]:
    """The models of the values that a field may have."""
    return [
        found for found in _inner(hint) if isinstance(found, type) and issubclass(found, Stored)
    ]


def _real_numbers(model: type[Stored]) -> Iterator[str]:
    """The fields of the model and of its parts in which a whole number becomes a real one."""
    for name, hint in get_type_hints(model).items():
        for found in _inner(hint):
            if found is float:
                yield name
            elif found is not model and found in _parts(hint):
                yield from _real_numbers(found)

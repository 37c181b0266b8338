"""Results of many steps that are one value together: references to them, not a copy.

A payload with `parts` refers to the payloads of its parts. Its value is made of theirs when it is
read. If it is larger than a stored value may be, it is only read part by part: `GatheredList` and
`GatheredMapping` are what expressions get.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from orc.ledger.bounds import BLOB_BYTES_MAX, Gathered
from orc.ledger.digest import canonical_json
from orc.ledger.events import Payload
from orc.ledger.stored_struct import dump_set
from orc.ledger.wording import count_text, size_text

ReadPayload = Callable[[Payload], Any]


def refer_to(parts: Sequence[Payload | None], keys: Sequence[str] | None = None) -> Payload:
    """The payload of the list of these values, or of the mapping with these keys."""
    found = tuple(part or Payload() for part in parts)
    names = None if keys is None else tuple(keys)
    return Payload(parts=found, keys=names, size_bytes=sum(map(size_of, found)))


def size_of(payload: Payload | None) -> int:
    """The bytes of a value, or of its parts together."""
    if payload is None:
        return 0
    if payload.size_bytes is not None:
        return payload.size_bytes
    return len(canonical_json(payload.value))


def gathered_value(payload: Payload, read: ReadPayload) -> Any:
    """The value of a payload with `parts`; if it is too large for one, a view that reads parts."""
    assert payload.parts is not None
    if size_of(payload) > BLOB_BYTES_MAX:
        return (GatheredList if payload.keys is None else GatheredMapping)(payload, read)
    values = [read(part) for part in payload.parts]
    return values if payload.keys is None else dict(zip(payload.keys, values, strict=True))


def parts_of(payload: Payload) -> Iterator[Payload]:
    """The payload itself, or all payloads that it refers to, at any depth."""
    if payload.parts is None:
        yield payload
        return
    for part in payload.parts:
        yield from parts_of(part)


def comparable(payload: Payload, read: ReadPayload) -> Any:
    """A value that is equal for equal values: the value itself, or the references to its parts."""
    return read(payload) if payload.parts is None else dump_set(payload)


def describe_gathered(payload: Payload) -> str:
    """What a payload with `parts` consists of, in words."""
    results = count_text(len(payload.parts or ()), "result")
    return f"{results} with {size_text(size_of(payload))} together"


class _View(Gathered):
    def __init__(self, payload: Payload, read: ReadPayload) -> None:
        self._parts = payload.parts or ()
        self._keys = {name: place for place, name in enumerate(payload.keys or ())}
        self._read = read
        self.why_not_one = (
            f"it has {describe_gathered(payload)}, and one value has at most "
            f"{size_text(BLOB_BYTES_MAX)}; use the results one by one, or write large results to files"
        )

    def __len__(self) -> int:
        return len(self._parts)


class GatheredList(_View, Sequence[Any]):
    """The results of items. Each is read when it is asked for."""

    def __getitem__(self, place: Any) -> Any:
        found = self._parts[place]
        return (
            [self._read(part) for part in found] if isinstance(found, tuple) else self._read(found)
        )


class GatheredMapping(_View, Mapping[str, Any]):
    """The results of members, by name. Each is read when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        return self._read(self._parts[self._keys[name]])

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

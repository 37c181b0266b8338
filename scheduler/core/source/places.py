"""The places of the values and keys of a parsed text, for the problems that are found in them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

import yaml
from msgspec import Struct, field

from orc.ledger.digest import clean_text
from orc.scheduler.core.source.json_source import places_in
from orc.scheduler.core.source.paths import Path as Path
from orc.scheduler.core.source.plain_scalars import read_plain

Place = tuple[int, int]
"""Line and column, from 1."""


class Places(Struct):
    """The places of the keys and values of a document, by their paths."""

    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    blocks: set[Path] = field(default_factory=set)
    """Paths of block scalars (`|`, `>`). Their text starts on the line after their place."""
    written: dict[Path, str] = field(default_factory=dict)
    """How the numbers, and `true` and `false`, are written: 1.10 is more than its value."""

    def of(self, path: Path, *, key: bool = False) -> Place:
        """The place of the value (or key) at the path, or of its nearest known parent."""
        table = self.keys if key else self.values
        while path and path not in table:
            path = path[:-1]
        return table.get(path) or self.values.get(path, (1, 1))


def places_of_json(text: str) -> Places:
    """The places in a valid JSON text."""
    places = Places()
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    for path, offset, is_key in places_in(text):
        line = bisect_right(starts, offset)
        table = places.keys if is_key else places.values
        table[path] = (line, offset - starts[line - 1] + 1)
    return places


def places_of_yaml(events: Iterator[Any]) -> Places:
    """The places in a YAML text with one valid document, by the events of its parser."""
    places = Places()
    next(events)
    if not isinstance(next(events), yaml.StreamEndEvent):
        _read(places, events, next(events), ())
    return places


def _read(places: Places, events: Iterator[Any], event: Any, path: Path) -> None:
    """Read the places inside the value that begins with the event."""
    places.values[path] = _place_of(event)
    match event:
        case yaml.ScalarEvent():
            if event.style in ("|", ">"):
                places.blocks.add(path)
            elif event.implicit[0] and isinstance(read_plain(event.value), int | float):
                places.written[path] = event.value
        case yaml.SequenceStartEvent():
            index = 0
            while not isinstance(item := next(events), yaml.SequenceEndEvent):
                _read(places, events, item, (*path, index))
                index += 1
        case yaml.MappingStartEvent():
            while not isinstance(key := next(events), yaml.MappingEndEvent):
                inner = (*path, clean_text(key.value))
                places.keys[inner] = _place_of(key)
                _read(places, events, next(events), inner)


def _place_of(event: Any) -> Place:
    mark = event.start_mark
    return mark.line + 1, mark.column + 1

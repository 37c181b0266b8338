"""Documents of specs as values: the places in them, and copies with another value at a place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Place = tuple[str | int, ...]


def places_in(value: Any, place: Place = ()) -> Iterator[Place]:
    """The place of every key and every item, outer ones first."""
    inner = value.items() if isinstance(value, dict) else ()
    for key, item in enumerate(value) if isinstance(value, list) else inner:
        yield (*place, key)
        yield from places_in(item, (*place, key))


def with_value(document: Any, place: Place, new: Any) -> Any:
    """A copy of the document with another value at the place."""
    if not place:
        return new
    key, *rest = place
    changed: Any = list(document) if isinstance(document, list) else dict(document)
    changed[key] = with_value(document[key], tuple(rest), new)
    return changed


def key_at(place: Place) -> tuple[str, str]:
    """The key at the place, and what it belongs to: `a step` for any step, else the key around it.

    An item has the key of its list.
    """
    names = [str(part) if isinstance(part, str) else "[]" for part in place]
    *_, owner = ("job", *names[:-1])
    return ("a step" if len(names) > 2 and names[-3] == "steps" else owner), names[-1]

"""The inputs of items as columns: one for each value of a matrix, and for each field of a row. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from msgspec import Struct

from orc.projections.history.items import one_line

COLUMNS_MAX = 8
_LEVELS = 3
_LOOKED_AT = 1000
_NONE = object()

_Path = tuple[str, ...]


class ItemColumn(Struct, frozen=True):
    """A column: its label, and the keys that lead to its value in the value of an item."""

    label: str
    path: _Path

    def text(self, value: Any) -> str:
        """The value in this column on one line; empty if the item has none."""
        found = self._in(value)
        return "" if found is _NONE else one_line(found)

    def order(self, value: Any) -> tuple[int, float, str] | None:
        """What the item is sorted by: numbers, then texts, then other values; None without a value."""
        found = self._in(value)
        if found is _NONE:
            return None
        if isinstance(found, int | float) and not isinstance(found, bool):
            return 0, found, ""
        return (1, 0.0, found.casefold()) if isinstance(found, str) else (2, 0.0, one_line(found))

    def _in(self, value: Any) -> Any:
        for key in self.path:
            if not isinstance(value, Mapping) or key not in value:
                return _NONE
            value = value[key]
        return value


def columns_of(values: Iterable[Any]) -> tuple[tuple[ItemColumn, ...], int]:
    """The columns for the values of items, at most `COLUMNS_MAX`; and how many more there are.

    Values that are no mappings are in one column. Fields are in the order of their first items.
    """
    paths: dict[_Path, None] = {}
    for value in islice(values, _LOOKED_AT):
        paths |= dict.fromkeys(_paths(value, _LEVELS))
    # A field may be a mapping in one item only: what is inside it is then in its own column.
    leaves = [path for path in paths if not any(path[:end] in paths for end in range(len(path)))]
    shown = leaves[:COLUMNS_MAX]
    return tuple(ItemColumn(_label(path, leaves), path) for path in shown), len(leaves) - len(shown)


def sorted_by(
    column: ItemColumn, names: Sequence[str], values: Mapping[str, Any], *, is_descending: bool
) -> list[str]:
    """The ids of items by their values in a column; those without a value come last."""
    orders = {name: column.order(values.get(name)) for name in names}
    known = [name for name in names if orders[name] is not None]
    known.sort(key=lambda name: orders[name] or (), reverse=is_descending)
    return known + [name for name in names if orders[name] is None]


def _paths(value: Any, levels: int, path: _Path = ()) -> Iterator[_Path]:
    if not isinstance(value, Mapping) or not value or not levels:
        yield path
        return
    for key, inner in value.items():
        yield from _paths(inner, levels - 1, (*path, str(key)))


def _label(path: _Path, others: Sequence[_Path]) -> str:
    """The last key of a path, with those before it if another path has the same; `Input` for none."""
    if not path:
        return "Input"
    same = [other for other in others if other[-1:] == path[-1:]]
    label = path[-1] if len(same) == 1 else ".".join(path)
    return label if label.strip() else json.dumps(label)

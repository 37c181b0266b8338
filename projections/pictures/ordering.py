"""The order of the boxes within each column, chosen so that few arrows cross.

The barycentre method of layered drawing (Sugiyama, Tagawa and Toda, 1981), with a fixed
number of sweeps.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence

_SWEEPS = 5
_COUNTED_MAX = 600

Neighbours = Mapping[str, Sequence[str]]


def order_columns(columns: Sequence[list[str]], needs: Neighbours, dependents: Neighbours) -> None:
    """Sort the ids of each column by the positions of their neighbours, in alternating sweeps.

    The order with the fewest crossings is kept. Above 600 arrows the crossings are not counted,
    because the difference is not visible, and the last order is kept.
    """
    at: dict[str, float] = {}
    for column in columns:
        _spread(column, at)
    is_counted = sum(map(len, needs.values())) <= _COUNTED_MAX
    best: list[list[str]] = []
    fewest: int | None = None
    for sweep in range(_SWEEPS):
        if sweep % 2 == 0:
            _sweep(columns, needs, at)
        else:
            _sweep(reversed(columns), dependents, at)
        crossings = _crossings(columns, needs, at) if is_counted else 0
        if fewest is None or crossings < fewest or not is_counted:
            fewest, best = crossings, [list(column) for column in columns]
    for column, ids in zip(columns, best, strict=True):
        column[:] = ids


def _sweep(columns: Iterable[list[str]], near: Neighbours, at: dict[str, float]) -> None:
    for column in columns:
        wanted = {
            box_id: sum([at[name] for name in near[box_id]]) / len(near[box_id])
            if near[box_id]
            else at[box_id]
            for box_id in column
        }
        column.sort(key=wanted.__getitem__)
        _spread(column, at)


def _spread(column: Sequence[str], at: dict[str, float]) -> None:
    for index, box_id in enumerate(column):
        at[box_id] = index - (len(column) - 1) / 2


def _crossings(columns: Sequence[Sequence[str]], needs: Neighbours, at: Mapping[str, float]) -> int:
    """The number of crossings among arrows that join the same two columns."""
    number_of = {box_id: number for number, column in enumerate(columns) for box_id in column}
    arrows: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for box_id, names in needs.items():
        for name in names:
            pair = (number_of[name], number_of[box_id])
            arrows.setdefault(pair, []).append((at[name], at[box_id]))
    count = 0
    for beside in arrows.values():
        ends: list[float] = []
        for _, end in sorted(beside):
            # Arrows that begin above this one and end below it.
            count += len(ends) - bisect_right(ends, end)
            insort(ends, end)
    return count

"""How the arrows of a placed graph run: in the free strips, never across a box.

An arrow within a band swings through the gaps of the columns that it passes. One to a
later band leaves to the right, and takes the strip below its band, as the eye does at
the end of a line. Arrows to one box share the last part of their way.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise

from projections.pictures.layout import LANES, Column, Layout, Place

_AIR = 5.0
_CORNER = 9.0
_HEAD = 5
_APART = 2.5
_BUNDLE_MIN = 3


class Bundles:
    """Boxes that all need the same ones: their arrows meet, so that ten to ten are twenty lines."""

    def __init__(self, needs: Mapping[str, tuple[str, ...]], layout: Layout) -> None:
        sharing: dict[tuple[int, tuple[str, ...]], list[str]] = {}
        for target, names in needs.items():
            if len(names) >= _BUNDLE_MIN:
                column = layout.places[target].column
                sharing.setdefault((column, tuple(sorted(names))), []).append(target)
        self._meeting: dict[str, tuple[float, int]] = {}
        for number, targets in enumerate(sharing.values()):
            if len(targets) < _BUNDLE_MIN:
                continue
            middles = [layout.places[target].middle for target in targets]
            y = sum(middles) / len(middles)
            for target in targets:
                self._meeting[target] = (y, number)

    def meeting_y(self, target: str) -> float | None:
        """The y at which the arrows to a box meet, in the gap before its column."""
        found = self._meeting.get(target)
        return None if found is None else found[0]

    def lane_of(self, target: str, number: int) -> int:
        """The number that the arrows to a box share with those that they are bundled with."""
        found = self._meeting.get(target)
        return number if found is None else found[1]


def route(layout: Layout, source: str, target: str, number: int, bundles: Bundles) -> str:
    """The arrow from one box to another, as the data of an SVG path.

    `number` is the target's: arrows to different targets that share a strip lie a little apart.
    """
    begin, end = layout.places[source], layout.places[target]
    number = bundles.lane_of(target, number)
    if layout.columns[begin.column].band == layout.columns[end.column].band:
        way = _swing(layout.columns, begin, end, number, bundles.meeting_y(target))
    else:
        way = _around(layout, begin, end, number)
    x, y = round(end.left), round(end.middle)
    return f"{way}M{x - _HEAD} {y - 4}L{x} {y}L{x - _HEAD} {y + 4}"


def _swing(
    columns: Sequence[Column], begin: Place, end: Place, number: int, meeting_y: float | None
) -> str:
    x, y = begin.left + begin.width, begin.middle
    path = [f"M{x:.0f} {y:.0f}"]
    for index in range(begin.column + 1, end.column):
        column = columns[index]
        # Along the straight way to the end, but through the nearest gap.
        part = (column.left - x) / (end.left - x)
        gap_y = _free(column, y + (end.middle - y) * part, number)
        path += [_curve(x, y, column.left, gap_y), f"H{column.right:.0f}"]
        x, y = column.right, gap_y
    if meeting_y is not None:
        meeting_x = (columns[end.column - 1].right + end.left) / 2
        path.append(_curve(x, y, meeting_x, meeting_y))
        x, y = meeting_x, meeting_y
    path.append(_curve(x, y, end.left, end.middle))
    return "".join(path)


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    if abs(y - to_y) < 1:
        return f"L{to_x:.0f} {to_y:.0f}"
    half = (x + to_x) / 2
    return f"C{half:.0f} {y:.0f} {half:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"


def _free(column: Column, y: float, number: int) -> float:
    """The y nearest to the wanted one that no box of the column covers."""
    apart = (number % 5 - 2) * 1.5
    index = bisect_right(column.tops, y + _AIR + 3) - 1
    if index < 0 or y - _AIR - 3 >= column.bottoms[index]:
        return y
    last = len(column.tops) - 1
    above = (column.bottoms[index - 1] + column.tops[index]) / 2 if index else column.tops[0] - 9
    below = (
        (column.bottoms[index] + column.tops[index + 1]) / 2
        if index < last
        else column.bottoms[last] + 9
    )
    return (above if y - above < below - y else below) + apart


def _around(layout: Layout, begin: Place, end: Place, number: int) -> str:
    """Along the strips below the bands; past whole bands at the left margin."""
    apart = number % LANES
    first = layout.columns[begin.column].band
    last = layout.columns[end.column].band - 1
    right = begin.left + begin.width
    down_y, over_y = layout.lane_y(first, apart), layout.lane_y(last, apart)
    points = [
        (right, begin.middle),
        (right + 6 + apart * _APART, begin.middle),
        (right + 6 + apart * _APART, down_y),
    ]
    if first != last:
        points += [
            (3.0 + apart * _APART, down_y),
            (3.0 + apart * _APART, over_y),
        ]
    entry = end.left - 25 + apart * _APART
    points += [
        (entry, over_y),
        (entry, end.middle),
        (end.left, end.middle),
    ]
    return _rounded(points)


def _rounded(points: Sequence[tuple[float, float]]) -> str:
    """Straight stretches with round corners; each is level or upright."""
    x, y = points[0]
    path = [f"M{x:.0f} {y:.0f}"]
    for (corner_x, corner_y), (next_x, next_y) in pairwise(points[1:]):
        before = abs(x - corner_x) + abs(y - corner_y)
        after = abs(next_x - corner_x) + abs(next_y - corner_y)
        into = min(_CORNER, before / 2) / before if before else 0.0
        out = min(_CORNER, after / 2) / after if after else 0.0
        path.append(
            f"L{corner_x + (x - corner_x) * into:.0f} {corner_y + (y - corner_y) * into:.0f}"
            f"Q{corner_x:.0f} {corner_y:.0f} "
            f"{corner_x + (next_x - corner_x) * out:.0f} {corner_y + (next_y - corner_y) * out:.0f}"
        )
        x, y = corner_x, corner_y
    path.append(f"L{points[-1][0]:.0f} {points[-1][1]:.0f}")
    return "".join(path)

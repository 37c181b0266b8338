"""The paths of the arrows of a placed graph; no arrow crosses a box.

An arrow within a band curves through the gaps of the columns that it passes. An arrow to a
later band leaves to the right and follows the strip below its band. Arrows to one box share
the last part of their path.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from orc.projections.pictures.layout import TRACKS, Column, Layout, Place

_AIR = 5.0
_CORNER = 9.0
_HEAD = 5
_APART = 2.5
_BUNDLE_MIN = 3


class ArrowRouter:
    """Computes the paths of all arrows of one layout.

    Arrows to boxes with the same needs meet in one point, so that ten boxes that need the same
    ten boxes have twenty lines; they use one track. Other arrows in the same strip or gap are
    drawn slightly apart.
    """

    def __init__(self, layout: Layout, needs: Mapping[str, tuple[str, ...]]) -> None:
        self._layout = layout
        self._meeting_y: dict[str, float] = {}
        self._number: dict[str, int] = {}
        self._track: dict[str, int] = {}
        last_track: dict[int, int] = {}
        for number, targets in enumerate(self._bundled(needs)):
            band = self._band(targets[0])
            if any(self._band(name) != band for name in needs[targets[0]]):
                track = last_track[band] = last_track.get(band, -1) + 1
                self._track.update(dict.fromkeys(targets, track % TRACKS))
            self._number.update(dict.fromkeys(targets, number))
            if len(targets) > 1:
                middles = [layout.places[target].middle for target in targets]
                self._meeting_y.update(dict.fromkeys(targets, sum(middles) / len(middles)))

    def route(self, source: str, target: str) -> str:
        """The arrow from one box to another, as the data of an SVG path."""
        begin, end = self._layout.places[source], self._layout.places[target]
        if self._band(source) == self._band(target):
            meeting_y = self._meeting_y.get(target)
            way = _path_in_band(self._layout.columns, begin, end, self._number[target], meeting_y)
        else:
            way = _path_between_bands(self._layout, begin, end, self._track[target])
        x, y = round(end.left), round(end.middle)
        return f"{way}M{x - _HEAD} {y - 4}L{x} {y}L{x - _HEAD} {y + 4}"

    def _band(self, box_id: str) -> int:
        return self._layout.columns[self._layout.places[box_id].column].band

    def _bundled(self, needs: Mapping[str, tuple[str, ...]]) -> Iterator[list[str]]:
        """The boxes of a column with the same needs, from three boxes and needs on; others alone."""
        sharing: dict[object, list[str]] = {}
        for target, names in needs.items():
            column = self._layout.places[target].column
            key = (column, frozenset(names)) if len(names) >= _BUNDLE_MIN else target
            sharing.setdefault(key, []).append(target)
        for targets in sharing.values():
            if len(targets) >= _BUNDLE_MIN:
                yield targets
            else:
                yield from ([target] for target in targets)


def _path_in_band(
    columns: Sequence[Column], begin: Place, end: Place, number: int, meeting_y: float | None
) -> str:
    x, y = begin.left + begin.width, begin.middle
    path = [f"M{x:.0f} {y:.0f}"]
    for index in range(begin.column + 1, end.column):
        column = columns[index]
        # Towards the end in a straight line, but through the nearest gap.
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
    """The y nearest to `y` that no box of the column covers."""
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


def _path_between_bands(layout: Layout, begin: Place, end: Place, track: int) -> str:
    """A path through the strips below the bands; it passes whole bands at the left margin."""
    apart = track * _APART
    first = layout.columns[begin.column].band
    last = layout.columns[end.column].band - 1
    right = begin.left + begin.width
    down_y, over_y = layout.track_y(first, track), layout.track_y(last, track)
    points = [
        (right, begin.middle),
        (right + 6 + apart, begin.middle),
        (right + 6 + apart, down_y),
    ]
    if first != last:
        points += [
            (3.0 + apart, down_y),
            (3.0 + apart, over_y),
        ]
    entry = end.left - 25 + apart
    points += [
        (entry, over_y),
        (entry, end.middle),
        (end.left, end.middle),
    ]
    return _rounded(points)


def _rounded(points: Sequence[tuple[float, float]]) -> str:
    """A path of horizontal and vertical lines with round corners."""
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

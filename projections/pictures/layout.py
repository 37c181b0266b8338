"""The places of a graph's boxes: columns from left to right, wrapped into bands like lines of text.

Pure geometry: it uses sizes and needs, and no states. The columns are those of layered
drawing (a box is to the right of its needs), but their height is bounded; columns that do
not fit the page's width continue in the next band. `arrow_paths.py` draws the arrows. Except
for sorting, the work is linear in boxes and arrows, so that a thousand boxes are fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from orc.projections.pictures.ordering import order_columns

_SHIFTS = 3
_MARGIN = 28.0
_STRETCH = 1.3
_WIDEST = 1980.0
TRACKS = 7
"""The number of parallel tracks for arrows in a strip; further arrows share them."""


class Box(Struct, frozen=True):
    """A box to place: its size in pixels, and the ids of the boxes that it needs."""

    id: str
    width: float
    height: float
    needs: tuple[str, ...]


class Column(Struct):
    """A column of boxes; `tops` and `bottoms` are their edges, from the top of the band."""

    band: int
    ids: list[str]
    left: float = 0.0
    width: float = 0.0
    tops: list[float] = field(default_factory=list)
    bottoms: list[float] = field(default_factory=list)

    @property
    def right(self) -> float:
        """The right edge of its boxes."""
        return self.left + self.width


class Place(Struct, frozen=True):
    """The place of a box: its upper left corner, its size, and the number of its column."""

    left: float
    top: float
    width: float
    height: float
    column: int

    @property
    def middle(self) -> float:
        """The y at which arrows arrive and leave."""
        return self.top + self.height / 2


class Layout(Struct, frozen=True):
    """The places by id. `strips` are the free strips below each band: upper edge and height."""

    places: Mapping[str, Place]
    columns: Sequence[Column]
    strips: Sequence[tuple[float, float]]
    width: float
    height: float

    def track_y(self, band: int, track: int) -> float:
        """The y of a track, counted from 0, in the strip below a band."""
        top, height = self.strips[band]
        return top + height * track / (TRACKS - 1)


def place_boxes(
    boxes: Sequence[Box],
    *,
    rows_max: int,
    width_max: float,
    gap_x: float,
    gap_y: float,
) -> Layout:
    """Places for all boxes: at most `rows_max` in a column, and about `width_max` pixels wide."""
    by_id = {box.id: box for box in boxes}
    dependents: dict[str, list[str]] = {box.id: [] for box in boxes}
    for box in boxes:
        for name in box.needs:
            dependents[name].append(box.id)
    columns = _columns(boxes, dependents, rows_max)
    order_columns(
        [column.ids for column in columns], {box.id: box.needs for box in boxes}, dependents
    )
    _wrap(columns, by_id, width_max, gap_x)
    heights = _stack(columns, by_id, dependents, gap_y)
    return _settle(columns, by_id, heights)


def _columns(
    boxes: Sequence[Box], dependents: Mapping[str, Sequence[str]], rows_max: int
) -> list[Column]:
    """Each box in the first column with room that is to the right of all its needs."""
    left = {box.id: len(box.needs) for box in boxes}
    first = dict.fromkeys(left, 0)
    filled: list[list[str]] = []
    # The next column that may have room, so that full columns are not searched for every box.
    roomy: list[int] = []
    due = [box.id for box in boxes if not box.needs]
    while due:
        later: list[str] = []
        for box_id in due:
            index = _with_room(first[box_id], filled, roomy, rows_max)
            filled[index].append(box_id)
            for name in dependents[box_id]:
                first[name] = max(first[name], index + 1)
                left[name] -= 1
                if left[name] == 0:
                    later.append(name)
        due = later
    return [Column(0, ids) for ids in filled]


def _with_room(index: int, filled: list[list[str]], roomy: list[int], rows_max: int) -> int:
    way = []
    while True:
        while index >= len(filled):
            filled.append([])
            roomy.append(len(roomy))
        if len(filled[index]) < rows_max:
            break
        way.append(index)
        index = max(index + 1, roomy[index])
    for passed in way:
        roomy[passed] = index
    return index


def _wrap(
    columns: Sequence[Column], by_id: Mapping[str, Box], width_max: float, gap_x: float
) -> None:
    """Give each column its band and its x. A graph slightly wider than the page is not wrapped."""
    for column in columns:
        column.width = max(by_id[box_id].width for box_id in column.ids)
    whole = sum(column.width + gap_x for column in columns) - gap_x + 2 * _MARGIN
    if whole <= min(width_max * _STRETCH, _WIDEST):
        width_max = whole
    band, left = 0, _MARGIN
    for column in columns:
        if left > _MARGIN and left + column.width + _MARGIN > width_max:
            band, left = band + 1, _MARGIN
        column.band, column.left = band, left
        left += column.width + gap_x


def _stack(
    columns: Sequence[Column],
    by_id: Mapping[str, Box],
    dependents: Mapping[str, Sequence[str]],
    gap_y: float,
) -> list[float]:
    """Set the tops of all boxes near the middle of their neighbours; return the bands' heights."""
    band_of = {box_id: column.band for column in columns for box_id in column.ids}
    middles: dict[str, float] = {}
    for column in columns:
        _put(column, by_id, [0.0] * len(column.ids), gap_y, middles)
    for shift in range(_SHIFTS):
        for column in columns if shift % 2 == 0 else reversed(columns):
            wanted = []
            for box_id in column.ids:
                near = by_id[box_id].needs if shift % 2 == 0 else dependents[box_id]
                beside = [middles[name] for name in near if band_of[name] == column.band]
                wanted.append(sum(beside) / len(beside) if beside else middles[box_id])
            _put(column, by_id, wanted, gap_y, middles)
    bands = columns[-1].band + 1 if columns else 0
    highest = [min(c.tops[0] for c in columns if c.band == band) for band in range(bands)]
    heights = [0.0] * bands
    for column in columns:
        is_alone = not any(by_id[box_id].needs or dependents[box_id] for box_id in column.ids)
        up = column.tops[0] if is_alone else highest[column.band]
        column.tops = [top - up for top in column.tops]
        column.bottoms = [bottom - up for bottom in column.bottoms]
        heights[column.band] = max(heights[column.band], column.bottoms[-1])
    return heights


def _put(
    column: Column,
    by_id: Mapping[str, Box],
    wanted: Sequence[float],
    gap_y: float,
    middles: dict[str, float],
) -> None:
    """Place the boxes of a column, in their order, as near as possible to the `wanted` middles.

    Isotonic regression by least squares: pool adjacent violators, each pool at its mean.
    """
    offsets: list[float] = []
    total = 0.0
    for box_id in column.ids:
        height = by_id[box_id].height
        offsets.append(total + height / 2)
        total += height + gap_y
    pools: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        pool, size = want - offset, 1
        while pools and pools[-1][0] / pools[-1][1] > pool / size:
            before, count = pools.pop()
            pool, size = pool + before, size + count
        pools.append((pool, size))
    column.tops, column.bottoms = [], []
    index = 0
    for pool, size in pools:
        for _ in range(size):
            box_id = column.ids[index]
            half = by_id[box_id].height / 2
            middle = pool / size + offsets[index]
            middles[box_id] = middle
            column.tops.append(middle - half)
            column.bottoms.append(middle + half)
            index += 1


def _settle(
    columns: Sequence[Column], by_id: Mapping[str, Box], heights: Sequence[float]
) -> Layout:
    tops, strips = [], []
    top = _MARGIN
    for height, used in zip(
        heights, _count_strip_arrows(columns, by_id, len(heights)), strict=True
    ):
        tops.append(top)
        strip = min(5.0 * (used - 1), 30.0) if used else 0.0
        strips.append((top + height + 16, strip))
        top += height + strip + 36
    places = {}
    for number, column in enumerate(columns):
        down = tops[column.band]
        column.tops = [down + y for y in column.tops]
        column.bottoms = [down + y for y in column.bottoms]
        for box_id, y in zip(column.ids, column.tops, strict=True):
            box = by_id[box_id]
            places[box_id] = Place(column.left, y, column.width, box.height, number)
    width = max((column.right for column in columns), default=0.0) + _MARGIN
    bottom = tops[-1] + heights[-1] if tops else _MARGIN
    return Layout(places, columns, strips, width, bottom + _MARGIN)


def _count_strip_arrows(
    columns: Sequence[Column], by_id: Mapping[str, Box], bands: int
) -> list[int]:
    """The number of boxes with an arrow through the strip below each band."""
    band_of = {box_id: column.band for column in columns for box_id in column.ids}
    used: list[set[str]] = [set() for _ in range(bands)]
    for box in by_id.values():
        for name in box.needs:
            if band_of[name] != band_of[box.id]:
                used[band_of[name]].add(box.id)
                used[band_of[box.id] - 1].add(box.id)
    return [len(targets) for targets in used]

"""Draws a chart as SVG: axes, lines with markers, points, steps. Pure, and without a script.

Series differ in the shape of their markers and the dashes of their lines, and not only in colour. A
chart is drawn for a page, which has the style sheet, or as a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from markupsafe import Markup
from msgspec import Struct

from orc.projections.charts.ticks import round_ticks, time_ticks
from orc.projections.pictures.graph_svg import css_for_xml
from orc.projections.pictures.labels import clip, escape_label, text_width

WIDTH, HEIGHT = 640, 300
SERIES_MAX = 6
_LEFT, _RIGHT, _TOP, _BOTTOM = 92, 18, 14, 46
_LEGEND_LINE = 20
_FONT = 11.5
_MARKERS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "M-3.6-3.6h7.2v7.2h-7.2z",
    "M0-4.8l4.8 8.4h-9.6z",
    "M0-5.2l5.2 5.2l-5.2 5.2l-5.2-5.2z",
    "M-4.6-1.4h3.2v-3.2h2.8v3.2h3.2v2.8h-3.2v3.2h-2.8v-3.2h-3.2z",
    "M0 4.8l4.8-8.4h-9.6z",
)


class Point(Struct, frozen=True):
    """A point of a chart; `said` is its tooltip, `address` the page to which it leads."""

    x: float
    y: float
    said: str
    address: str = ""


class Series(Struct, frozen=True):
    """Points that belong together. With `is_line`, a line joins them, in steps with `is_stepped`."""

    name: str
    points: tuple[Point, ...]
    is_line: bool = True
    is_stepped: bool = False
    has_markers: bool = True


class Axis(Struct, frozen=True):
    """An axis: its title, how its values are worded, and ticks; round numbers if none are given.

    With `is_whole`, these are whole numbers, as all values must be; with `is_time`, times from 0.
    """

    title: str
    word: Callable[[float], str]
    ticks: tuple[tuple[float, str], ...] = ()
    from_zero: bool = False
    is_whole: bool = False
    is_time: bool = False


class Plot(Struct, frozen=True):
    """A chart with its title and its description in a sentence. At most `SERIES_MAX` series."""

    title: str
    said: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]

    def draw(self, *, standalone: bool = False) -> Markup:
        """The chart as SVG."""
        return _ChartDrawing(self).draw(standalone=standalone)


class _ChartDrawing:
    def __init__(self, plot: Plot) -> None:
        self._plot = plot
        points = [point for series in plot.series for point in series.points]
        self._x_ticks = _ticks(plot.x, [point.x for point in points])
        self._y_ticks = _ticks(plot.y, [point.y for point in points])
        self._legend = list(_legend_places([series.name for series in plot.series]))
        lines = max((line for _, line in self._legend), default=-1) + 1
        self._height = HEIGHT + _LEGEND_LINE * lines
        self._bottom = HEIGHT - _BOTTOM

    def draw(self, *, standalone: bool) -> Markup:
        pieces = [self._head(standalone=standalone), *self._axes()]
        for number, series in enumerate(self._plot.series[:SERIES_MAX]):
            pieces += self._series(number, series)
        pieces += self._legend_texts()
        pieces.append("</svg>\n" if standalone else "</svg>")
        # `escape_label` and `clip` have escaped all text that others wrote.
        return Markup("\n".join(pieces))  # noqa: S704

    def _head(self, *, standalone: bool) -> str:
        title, said = escape_label(self._plot.title), escape_label(self._plot.said)
        is_linked = any(point.address for one in self._plot.series for point in one.points)
        role = "group" if is_linked and not standalone else "img"
        start = (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="c-chart" width="{WIDTH}" '
            f'height="{self._height}" viewBox="0 0 {WIDTH} {self._height}" role="{role}" '
            f'aria-label="{title}: {said}"><title>{title}</title><desc>{said}</desc>'
        )
        if not standalone:
            return start
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n{start}<style>{css_for_xml()}</style>'
            f'<rect class="g-page" width="{WIDTH}" height="{self._height}"/>'
        )

    def _axes(self) -> Iterator[str]:
        right = WIDTH - _RIGHT
        for value, label in self._y_ticks:
            y = self._y(value)
            yield f'<path class="c-grid" d="M{_LEFT} {y:.1f}H{right}"/>'
            yield (
                f'<text class="c-label c-end" x="{_LEFT - 8}" y="{y + 4:.1f}">'
                f"{clip(label, _LEFT - 24, _FONT)}</text>"
            )
        last = float("-inf")
        for value, label in self._x_ticks:
            x, half = self._x(value), text_width(label, _FONT) / 2
            yield f'<path class="c-tick" d="M{x:.1f} {self._bottom}v4"/>'
            left = min(x - half, WIDTH - 2 * half - 2)
            if left > last:
                yield (
                    f'<text class="c-label" x="{left + half:.1f}" y="{self._bottom + 18}">'
                    f"{escape_label(label)}</text>"
                )
                last = left + 2 * half + 12
        yield f'<path class="c-axis" d="M{_LEFT} {_TOP}V{self._bottom}H{right}"/>'
        middle = (_LEFT + right) / 2
        yield (
            f'<text class="c-label c-title" x="{middle:.0f}" y="{self._bottom + 38}">'
            f"{clip(self._plot.x.title, right - _LEFT, _FONT)}</text>"
        )
        height = (_TOP + self._bottom) / 2
        yield (
            f'<text class="c-label c-title" transform="translate(13 {height:.0f}) rotate(-90)">'
            f"{clip(self._plot.y.title, self._bottom - _TOP, _FONT)}</text>"
        )

    def _series(self, number: int, series: Series) -> Iterator[str]:
        yield f'<g class="c-series c-{number + 1}">'
        places = [(self._x(point.x), self._y(point.y)) for point in series.points]
        if series.is_line and len(places) > 1:
            way = f"M{places[0][0]:.1f} {places[0][1]:.1f}"
            for x, y in places[1:]:
                way += f"H{x:.1f}V{y:.1f}" if series.is_stepped else f"L{x:.1f} {y:.1f}"
            yield f'<path class="c-line" d="{way}"/>'
        for point, (x, y) in zip(series.points, places, strict=True):
            if series.has_markers:
                yield self._marker(number, point, x, y)
        yield "</g>"

    def _marker(self, number: int, point: Point, x: float, y: float) -> str:
        said = escape_label(point.said)
        drawn = (
            f'<path class="c-mark" transform="translate({x:.1f} {y:.1f})" d="{_MARKERS[number]}">'
            f"<title>{said}</title></path>"
        )
        if not point.address:
            return drawn
        return f'<a href="{escape_label(point.address)}" aria-label="{said}">{drawn}</a>'

    def _legend_texts(self) -> Iterator[str]:
        for number, (series, (x, line)) in enumerate(
            zip(self._plot.series[:SERIES_MAX], self._legend, strict=False)
        ):
            y = HEIGHT + _LEGEND_LINE * line + 6
            rule = f'<path class="c-line" d="M{x - 12:.0f} {y}h24"/>' if series.is_line else ""
            mark = (
                f'<path class="c-mark" transform="translate({x:.0f} {y})" d="{_MARKERS[number]}"/>'
            )
            yield (
                f'<g class="c-series c-{number + 1}">{rule}{mark if series.has_markers else ""}</g>'
                f'<text class="c-label c-start" x="{x + 18:.0f}" y="{y + 4}">'
                f"{clip(series.name, 240, _FONT)}</text>"
            )

    def _x(self, value: float) -> float:
        return _place(value, self._x_ticks, _LEFT + 12, WIDTH - _RIGHT - 12)

    def _y(self, value: float) -> float:
        return _place(value, self._y_ticks, self._bottom, _TOP)


def _ticks(axis: Axis, values: Sequence[float]) -> tuple[tuple[float, str], ...]:
    if axis.ticks:
        return axis.ticks
    low, high = min(values, default=0.0), max(values, default=1.0)
    if axis.from_zero:
        low = min(0.0, low)
    ticks = time_ticks(high) if axis.is_time else round_ticks(low, high)
    if axis.is_whole:
        ticks = [value for value in ticks if value == round(value)]
    return tuple((value, axis.word(value)) for value in ticks)


def _place(value: float, ticks: Sequence[tuple[float, str]], begin: float, end: float) -> float:
    first, last = ticks[0][0], ticks[-1][0]
    share = 0.5 if last == first else (value - first) / (last - first)
    return begin + share * (end - begin)


def _legend_places(names: Sequence[str]) -> Iterator[tuple[float, int]]:
    """The middle of each mark, and its line; without a legend for a single series without a name."""
    x, line = float(_LEFT), 0
    for name in names[:SERIES_MAX]:
        if len(names) == 1 and not name:
            return
        width = 48 + min(240.0, text_width(name, _FONT))
        if x + width > WIDTH and x > _LEFT:
            x, line = float(_LEFT), line + 1
        yield x + 12, line
        x += width

"""The timeline as text: a line for each step, a bar for each attempt, dots for waits."""

from __future__ import annotations

from collections.abc import Iterator

from orc.ledger.wording import duration_text, number_text, visible
from orc.projections.history.timeline import Span, Timeline, TimelineRow
from orc.projections.pictures.labels import cells_of, clip_cells
from orc.projections.pictures.marks import mark_of
from orc.projections.pictures.timeline_rows import SharedRow, Shown, collapse_rows, count_busy
from orc.projections.pictures.timeline_scale import Cut, TimeScale, find_cuts

_NAME_MAX = 32
_TAKEN = 12
_INDENT = 2
_LEAST_PLOT = 20

_BARS = {"succeeded": "█", "running": "▓", "failed": "▒", "cached": "◇", "waiting": "·"}
_PLAIN_BARS = {"succeeded": "#", "running": ">", "failed": "x", "cached": "=", "waiting": "."}
_LEVELS = " ▁▂▃▄▅▆▇█"
_PLAIN_LEVELS = " .:-=+*#@"


def text_timeline(timeline: Timeline, *, width: int = 80, is_plain: bool = False) -> str:
    """The timeline in lines of at most `width` cells (at least 40); ASCII with `is_plain`."""
    return "\n".join(_Lines(timeline, max(40, width), is_plain).lines())


class _Lines:
    def __init__(self, timeline: Timeline, width: int, is_plain: bool) -> None:
        self._rows = collapse_rows(timeline.rows)
        named = max((cells_of(_name(row)) for row in self._rows), default=0)
        self._name = min(named, _NAME_MAX, width - _TAKEN - _LEAST_PLOT - 4) + 2
        self._plot = max(_LEAST_PLOT, width - self._name - _TAKEN - 2)
        self._cuts: list[Cut] = find_cuts(timeline)
        # After a cut, a label may need both hours and fractions of a second.
        room = 13 if self._cuts else 10
        self._scale = TimeScale(
            timeline.length_s, self._plot, self._cuts, cut_width=3, label_room=room
        )
        self._length_s = timeline.length_s
        self._is_plain = is_plain

    def lines(self) -> Iterator[str]:
        yield self._axis()
        for row in self._rows:
            yield self._shared_row(row) if isinstance(row, SharedRow) else self._row(row)
        for cut in self._cuts:
            taken = duration_text(cut.end_s - cut.begin_s)
            yield f"{'':{self._name + 2}}~ leaves out {taken} without work"

    def _axis(self) -> str:
        from orc.projections.pictures.timeline_svg import shown_tick

        cells = [" "] * (self._plot + _TAKEN)
        for second, at in self._scale.ticks():
            for number, letter in enumerate(shown_tick(second, self._scale.step_s)):
                cells[int(at) + number] = letter
        return f"{'':{self._name + 2}}{''.join(cells)}".rstrip()

    def _row(self, row: TimelineRow) -> str:
        mark = mark_of(row.state).plain if self._is_plain else mark_of(row.state).text
        cells = self._empty()
        for span in row.spans:
            self._draw(cells, span)
        taken_s = sum(s.end_s - s.begin_s for s in row.spans if s.kind in ("attempt", "decision"))
        attempts = sum(span.kind == "attempt" for span in row.spans)
        taken = duration_text(taken_s) if row.spans else ""
        taken += f" x{attempts}" if attempts > 1 else ""
        return f"{mark} {self._cut_name(row)}{''.join(cells)} {taken}".rstrip()

    def _shared_row(self, shared: SharedRow) -> str:
        counts = count_busy(
            shared.spans,
            lambda second: min(self._plot - 1, int(self._scale.x(second))),
            self._plot,
        )
        most = max(counts, default=0) or 1
        levels = _PLAIN_LEVELS if self._is_plain else _LEVELS
        drawn = "".join(levels[-(-count * (len(levels) - 1) // most)] for count in counts)
        return f"  {self._cut_name(shared)}{drawn} max {number_text(most)}".rstrip()

    def _draw(self, cells: list[str], span: Span) -> None:
        bars = _PLAIN_BARS if self._is_plain else _BARS
        if span.kind == "attempt":
            state = "cached" if span.is_cached and span.status == "succeeded" else span.status
            sign = bars.get(state, bars["failed"])
        elif span.kind == "reused":
            sign = bars["cached"]
        else:
            sign = "." if self._is_plain or span.kind != "decision" else "·"
        for cell in self._cells(span):
            # A wait in the same cell does not hide a bar.
            if span.kind in ("attempt", "reused") or cells[cell] in " ~":
                cells[cell] = sign

    def _cells(self, span: Span) -> range:
        first = min(self._plot - 1, int(self._scale.x(span.begin_s)))
        last = min(self._plot - 1, max(first, int(self._scale.x(span.end_s) - 0.01)))
        return range(first, last + 1)

    def _empty(self) -> list[str]:
        cells = [" "] * self._plot
        for cut in self._cuts:
            cells[int(self._scale.x((cut.begin_s + cut.end_s) / 2))] = "~"
        return cells

    def _cut_name(self, row: Shown) -> str:
        name = clip_cells(_name(row), self._name - 1)
        return name + " " * (self._name - cells_of(name))


def _name(row: Shown) -> str:
    if isinstance(row, SharedRow):
        return f"{' ' * _INDENT * row.depth}{row.label}"
    return f"{' ' * _INDENT * row.depth}{visible(row.step.name)}"

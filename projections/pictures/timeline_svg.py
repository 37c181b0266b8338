"""The timeline as SVG: a row for each step, a bar for each attempt, thin lines for waits.

It is drawn for a page, which has the style sheet, or as a standalone file. `timeline_rows.py`
decides which rows there are, `timeline_scale.py` maps seconds to positions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from markupsafe import Markup

from orc.ledger.kinds import CACHED, IN_DOUBT, INTERRUPTED
from orc.ledger.stored import parse_time
from orc.ledger.wording import count_text, duration_text, number_text
from orc.projections.history.timeline import Span, Timeline, TimelineRow
from orc.projections.pictures.graph_svg import css_for_xml
from orc.projections.pictures.labels import clip, escape_label
from orc.projections.pictures.marks import MARKS, mark_of
from orc.projections.pictures.shapes import Link
from orc.projections.pictures.timeline_rows import SharedRow, Shown, collapse_rows, count_busy
from orc.projections.pictures.timeline_scale import CUT_WIDTH, TimeScale, find_cuts

_NAMES = 210
_PLOT = 860
_RIGHT = 108
_TOP = 30
_BINS = 172
_INDENT = 14
_KINDS = {
    "queued": "was queued",
    "retry_wait": "waited for a retry",
    "decision": "waited for human review",
    "budget": "waited for budget",
    "reused": "got its result from a cache or a fork",
}


def draw_timeline(
    timeline: Timeline, *, link: Link | None = None, standalone: bool = False
) -> Markup:
    """The timeline of a job. `link` gives each step's address; a standalone one contains its styles."""
    return _Drawing(timeline, link).draw(standalone=standalone)


def describe_timeline(timeline: Timeline) -> str:
    """The timeline in a sentence."""
    counts = Counter(span.kind for row in timeline.rows for span in row.spans)
    steps, attempts = len(timeline.rows), counts["attempt"] + counts["decision"]
    return (
        f"{count_text(steps, 'step')}, {count_text(attempts, 'attempt')} "
        f"in {duration_text(timeline.length_s)}"
    )


class _Drawing:
    def __init__(self, timeline: Timeline, link: Link | None) -> None:
        self._timeline = timeline
        self._link = link
        self._rows = collapse_rows(timeline.rows)
        self._scale = TimeScale(timeline.length_s, _PLOT, find_cuts(timeline))
        self._zero = parse_time(timeline.begin_at)
        self._row_height = 24 if len(self._rows) <= 60 else 18
        self._height = _TOP + self._row_height * len(self._rows) + 8
        self._width = _NAMES + _PLOT + _RIGHT

    def draw(self, *, standalone: bool) -> Markup:
        pieces = [self._head(standalone=standalone), *self._background()]
        for number, row in enumerate(self._rows):
            pieces += self._row(row, _TOP + number * self._row_height)
        pieces.append("</svg>\n" if standalone else "</svg>")
        # `escape_label` has escaped all text that others wrote.
        return Markup("\n".join(pieces))  # noqa: S704

    def _head(self, *, standalone: bool) -> str:
        said = escape_label(describe_timeline(self._timeline))
        role = "img" if self._link is None else "group"
        start = (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="t-timeline" width="{self._width}" '
            f'height="{self._height}" viewBox="0 0 {self._width} {self._height}" role="{role}" '
            f'aria-label="Timeline: {said}"><title>{said}</title>'
        )
        if not standalone:
            return start
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n{start}<style>{css_for_xml()}</style>'
            f'<rect class="g-page" width="{self._width}" height="{self._height}"/>'
        )

    def _background(self) -> Iterator[str]:
        """The axis, the periods in which no process ran the job, and the cuts."""
        bottom = self._height - 4
        for begin_s, end_s in self._timeline.stopped:
            left, right = self._x(begin_s), self._x(end_s)
            said = f"no process ran the job for {duration_text(end_s - begin_s)}"
            yield (
                f'<rect class="t-stopped" x="{left:.1f}" y="{_TOP - 4}" '
                f'width="{max(1.5, right - left):.1f}" height="{bottom - _TOP + 4}">'
                f"<title>{escape_label(said)}</title></rect>"
            )
        for second, at in self._scale.ticks():
            x, said = _NAMES + at, shown_tick(second, self._scale.step_s)
            yield f'<path class="t-tick" d="M{x:.1f} {_TOP - 8}V{bottom}"/>'
            yield f'<text class="t-label" x="{x:.1f}" y="{_TOP - 14}">{said}</text>'
        for cut in self._scale.cuts:
            x = self._x(cut.begin_s) + CUT_WIDTH / 2
            taken = duration_text(cut.end_s - cut.begin_s)
            yield (
                f'<path class="t-break" d="M{x - 5:.1f} {_TOP - 4}l4 8l-4 8M{x + 1:.1f} {_TOP - 4}'
                f'l4 8l-4 8"><title>{escape_label(taken)} without work</title></path>'
                f'<text class="t-label t-cut" x="{x:.1f}" y="{bottom}">{escape_label(taken)}</text>'
            )

    def _row(self, row: Shown, top: int) -> Iterator[str]:
        middle = top + self._row_height / 2
        yield f'<path class="t-row" d="M0 {top}H{self._width}"/>'
        if isinstance(row, SharedRow):
            yield from self._shared_row(row, top)
            return
        start = 12 + _INDENT * min(row.depth, 5)
        mark = mark_of(row.state)
        hollow = " g-hollow" if mark.is_hollow else ""
        yield self._open(row.step.name, "t-name")
        yield (
            f'<g class="{mark.css_class}{hollow}" transform="translate({start} {middle}) scale(.62)">'
            f'<path class="g-shape" d="{mark.shape}"/><path class="g-glyph" d="{mark.glyph}"/></g>'
            f'<text class="t-step" x="{start + 10}" y="{middle + 4}">'
            f"{clip(row.step.name, _NAMES - start - 18, 12.5)}"
            f"<title>{escape_label(row.step.name)}: {mark.word}</title></text>"
        )
        yield self._close()
        for span in row.spans:
            yield from self._span(row, span, middle)
        if row.spans:
            yield self._taken(row, middle)

    def _span(self, row: TimelineRow, span: Span, middle: float) -> Iterator[str]:
        left, right = self._x(span.begin_s), self._x(span.end_s)
        said = escape_label(self._said(row, span))
        data = f'data-step="{escape_label(row.step.name)}" data-kind="{span.kind}"'
        if span.attempt is not None:
            data += f' data-attempt="{span.attempt}"'
        state = _span_state(span)
        if span.kind == "reused":
            yield (
                f'<path class="t-moment g-cached" {data} '
                f'd="M{left:.1f} {middle - 6}l6 6l-6 6l-6-6z"><title>{said}</title></path>'
            )
        elif span.kind == "attempt":
            half = self._row_height / 2 - 5
            yield self._open(row.step.name, "t-link", attempt=span.attempt)
            yield (
                f'<rect class="t-bar t-{span.status.replace(" ", "-")} g-{state}" {data} '
                f'x="{left:.1f}" y="{middle - half}" width="{max(2.0, right - left):.1f}" '
                f'height="{2 * half}" rx="2"><title>{said}</title></rect>'
            )
            yield self._close()
            if span.is_open:
                yield f'<path class="t-open g-{state}" d="M{right:.1f} {middle - 5}l6 5l-6 5"/>'
        else:
            yield (
                f'<path class="t-wait t-{span.kind} g-{state}" {data} '
                f'd="M{left:.1f} {middle}H{max(left + 2, right):.1f}"><title>{said}</title></path>'
            )

    def _taken(self, row: TimelineRow, middle: float) -> str:
        """The duration of all attempts of the step, drawn after its last bar."""
        taken_s = sum(s.end_s - s.begin_s for s in row.spans if s.kind in ("attempt", "decision"))
        attempts = sum(span.kind == "attempt" for span in row.spans)
        words = duration_text(taken_s) + (f" ×{attempts}" if attempts > 1 else "")
        at = max(self._x(span.end_s) for span in row.spans) + 9
        return f'<text class="t-taken" x="{at:.1f}" y="{middle + 4}">{escape_label(words)}</text>'

    def _shared_row(self, shared: SharedRow, top: int) -> Iterator[str]:
        """The number of steps of the row that worked at each moment, as an area."""
        counts = count_busy(
            shared.spans, lambda second: int(self._scale.x(second) / _PLOT * (_BINS - 1)), _BINS
        )
        most = max(counts, default=0) or 1
        height, bottom = self._row_height - 5, top + self._row_height - 2
        step = _PLOT / _BINS
        way = "".join(f"V{bottom - height * count / most:.1f}h{step:.2f}" for count in counts)
        start = 22 + _INDENT * min(shared.depth, 5)
        said = f"{shared.label}: at most {number_text(most)} at the same time"
        yield (
            f'<text class="t-step t-shared" x="{start}" y="{top + self._row_height / 2 + 4}">'
            f"{escape_label(shared.label)}</text>"
            f'<path class="t-density" d="M{_NAMES} {bottom}{way}V{bottom}z">'
            f"<title>{escape_label(said)}</title></path>"
            f'<text class="t-taken" x="{_NAMES + _PLOT + 9}" '
            f'y="{top + self._row_height / 2 + 4}">max {number_text(most)}</text>'
        )

    def _said(self, row: TimelineRow, span: Span) -> str:
        at = self._zero + timedelta(seconds=span.begin_s)
        taken = duration_text(span.end_s - span.begin_s)
        if span.kind == "attempt":
            is_open = span.is_open or span.status == "waiting"
            still = f"{span.status} for" if is_open else f"{span.status} after"
            cached = ", answered from the ledger" if span.is_cached else ""
            words = f"attempt {span.attempt}: {still} {taken}{cached}"
        elif span.kind == "reused":
            words = _KINDS[span.kind]
        else:
            words = f"{_KINDS[span.kind]} for {taken}"
        note = f" ({span.note[:300]})" if span.note else ""
        return f"{row.step.name}, {words}{note}, {at:%H:%M:%S}"

    def _open(self, step: str, kind: str, *, attempt: int | None = None) -> str:
        if self._link is None:
            return f'<g class="{kind}">'
        address = self._link(step)
        # An address with a fragment is a place within the same page.
        part = "" if attempt is None or "#" in address else f"#attempt-{attempt}"
        # Only the name takes keyboard focus; the bars lead to the same page.
        skipped = ' tabindex="-1"' if attempt is not None else ""
        return f'<a class="{kind}"{skipped} href="{escape_label(address)}{part}">'

    def _close(self) -> str:
        return "</g>" if self._link is None else "</a>"

    def _x(self, second: float) -> float:
        return _NAMES + self._scale.x(second)


def shown_tick(second: float, step_s: float) -> str:
    """The label of a tick, in as few characters as distinguish it from the next, `step_s` later."""
    if second == 0:
        return "0"
    if second < 1:
        return f"{second * 1000:g} ms"
    if second < 60:
        return f"{second:g} s"
    if second >= 172800 and step_s >= 21600:
        return f"{second / 86400:g} d"
    # In whole milliseconds, because a sum of tenths may be slightly too small as a float.
    minutes, rest_ms = divmod(round(second * 1000), 60_000)
    clock = f"{minutes // 60}:{minutes % 60:02}" if minutes >= 60 else f"{minutes}"
    if minutes >= 60 and step_s >= 60:
        return f"{clock} h"
    clock = f"{clock}:{rest_ms // 1000:02}"
    if step_s < 1:
        digits = 1 if step_s >= 0.1 else 2 if step_s >= 0.01 else 3
        return clock + f".{rest_ms % 1000:03}"[: digits + 1]
    return clock if minutes >= 60 else f"{clock} min"


def _span_state(span: Span) -> str:
    if span.is_cached and span.status == "succeeded":
        return CACHED
    if span.status in MARKS:
        return span.status
    return INTERRUPTED if span.status == IN_DOUBT else "pending"

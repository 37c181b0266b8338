"""Maps seconds to pixels, on an axis that cuts out long periods without work.

Without the cuts, a job that waited overnight for a person would be drawn as two thin bars.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from orc.projections.history.timeline import Timeline

CUT_WIDTH = 46.0
_IDLE_SHARE = 0.25
_IDLE_S = 30.0
_TICKS_MAX = 9
_LABEL_ROOM = 72.0
_NICE = (1, 2, 5)
_LONG_S = (10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


class Cut(Struct, frozen=True):
    """A period, in seconds, that is drawn at a small fixed width."""

    begin_s: float
    end_s: float


class TimeScale:
    """The seconds from 0 to `length_s` on `width` pixels or cells; each cut takes `cut_width`.

    `label_room` is the width of a label on the axis, `step_s` the distance of two ticks.
    """

    def __init__(
        self,
        length_s: float,
        width: float,
        cuts: Sequence[Cut] = (),
        *,
        cut_width: float = CUT_WIDTH,
        label_room: float = _LABEL_ROOM,
    ) -> None:
        self.width = width
        self._cut_width = cut_width
        self._label_room = label_room
        self.cuts = tuple(cuts)
        self._length_s = length_s
        cut_s = sum(cut.end_s - cut.begin_s for cut in cuts)
        self._per_s = (width - cut_width * len(self.cuts)) / max(1e-9, length_s - cut_s)
        ticks = min(_TICKS_MAX, max(1.0, width / label_room / 1.5))
        self.step_s = round_seconds((length_s - cut_s) / ticks)

    def x(self, second: float) -> float:
        """The position of a second on the axis."""
        second = min(max(0.0, second), self._length_s)
        shift = 0.0
        for cut in self.cuts:
            if second <= cut.begin_s:
                break
            taken = cut.end_s - cut.begin_s
            share = min(1.0, (second - cut.begin_s) / taken)
            shift += share * (self._cut_width - taken * self._per_s)
        return second * self._per_s + shift

    def ticks(self) -> Iterator[tuple[float, float]]:
        """Round seconds that have room for a label, each with its position."""
        room, step = self._label_room, self.step_s
        last = -room
        stretches = [0.0, *(second for cut in self.cuts for second in (cut.begin_s, cut.end_s))]
        stretches.append(self._length_s)
        for begin, end in zip(stretches[::2], stretches[1::2], strict=True):
            number = round(begin / step + 0.499999)
            while number * step <= end:
                at = self.x(number * step)
                if at - last >= room and at <= self.width - room / 3:
                    yield number * step, at
                    last = at
                number += 1


def find_cuts(timeline: Timeline) -> list[Cut]:
    """The periods without work that are longer than a quarter of the timeline and half a minute."""
    busy = sorted(
        (span.begin_s, span.end_s)
        for row in timeline.rows
        for span in row.spans
        if span.kind == "attempt" and not row.step.children
    )
    least_s = max(_IDLE_S, timeline.length_s * _IDLE_SHARE)
    idle = [(b, e) for b, e in _between(busy, timeline.length_s) if e - b > least_s]
    # A margin, 2% of the time that is drawn to scale, stays at both ends of each cut.
    edge_s = 0.02 * (timeline.length_s - sum(end_s - begin_s for begin_s, end_s in idle))
    return [Cut(begin_s + edge_s, end_s - edge_s) for begin_s, end_s in idle]


def _between(busy: Iterable[tuple[float, float]], end_s: float) -> Iterator[tuple[float, float]]:
    """The periods before `end_s` that no period of `busy` covers."""
    reached = 0.0
    for begin, end in (*busy, (end_s, end_s)):
        if begin > reached:
            yield reached, begin
        reached = max(reached, end)


def round_seconds(least_s: float) -> float:
    """The smallest round number of seconds that is at least `least_s`."""
    size = 0.001
    while size < 10:
        for nice in _NICE:
            if nice * size >= least_s and nice * size < 10:
                return nice * size
        size *= 10
    return next((float(step) for step in _LONG_S if step >= least_s), _days(least_s))


def _days(least_s: float) -> float:
    return 86400.0 * (int(least_s / 86400) + 1)

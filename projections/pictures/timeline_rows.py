"""The rows of a timeline: one for each step, or, for many steps, notable steps and shared rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from orc.ledger.kinds import NOTABLE
from orc.ledger.wording import count_text, number_text
from orc.projections.history.timeline import Span, TimelineRow

ROWS_MAX = 150
_INSIDE_MAX = 20
_NOTABLE_MAX = 40
_KEPT_MAX = 110
_MOMENT_S = 1e-6


class SharedRow(Struct, frozen=True):
    """Several steps in one row: a label with their number, and the spans of the leaves.

    `depth` is the same as in `TimelineRow`.
    """

    label: str
    depth: int
    spans: tuple[Span, ...]


Shown = TimelineRow | SharedRow


def collapse_rows(rows: Sequence[TimelineRow]) -> list[Shown]:
    """The rows to draw, in order. No step is left out, but many steps may be in one `SharedRow`."""
    if len(rows) <= ROWS_MAX:
        return list(rows)
    shown = _collapse_children(rows)
    if len(shown) <= ROWS_MAX:
        return shown
    plain = [row for row in shown if isinstance(row, TimelineRow)]
    kept = _notable_rows(plain)
    # A shared row is understood by the row of the container above it.
    kept |= {id(shown[n - 1]) for n, row in enumerate(shown) if isinstance(row, SharedRow)}
    others = [row for row in plain if id(row) not in kept]
    left = [row for row in shown if isinstance(row, SharedRow) or id(row) in kept]
    return [*left, _shared_row(others, count_text(len(others), "more step"), 0)]


def _collapse_children(rows: Sequence[TimelineRow]) -> list[Shown]:
    """Put many items of one step into one row below it; failed items keep their own rows."""
    of_parent: dict[str | None, list[TimelineRow]] = {}
    for row in rows:
        of_parent.setdefault(row.step.parent, []).append(row)
    large = {
        parent
        for parent, inside in of_parent.items()
        if parent is not None and len(inside) > _INSIDE_MAX
    }
    shown: list[Shown] = []
    hidden: set[str] = set()
    for row in rows:
        parent = row.step.parent
        if parent in hidden or (parent in large and row.step.status != "failed"):
            hidden.add(row.step.name)
        else:
            shown.append(row)
            if row.step.name in large:
                label = f"{number_text(len(of_parent[row.step.name]))} inside"
                below = list(_below(row.step.name, of_parent))
                shown.append(_shared_row(below, label, row.depth + 1))
    return shown


def _notable_rows(rows: Sequence[TimelineRow]) -> set[int]:
    """The `id()` of the rows that failed, wait or run, and of those that took longest."""
    notable = [row for state in NOTABLE for row in rows if row.step.status == state]
    kept = {id(row) for row in notable[:_NOTABLE_MAX]}
    for row in sorted(rows, key=_taken_s, reverse=True):
        if len(kept) >= _KEPT_MAX:
            break
        kept.add(id(row))
    return kept


def _taken_s(row: TimelineRow) -> float:
    return sum(span.end_s - span.begin_s for span in row.spans if span.kind != "queued")


def _below(parent: str, of_parent: dict[str | None, list[TimelineRow]]) -> Iterator[TimelineRow]:
    stack = [parent]
    while stack:
        for row in of_parent.get(stack.pop(), ()):
            yield row
            stack.append(row.step.name)


def _shared_row(rows: Sequence[TimelineRow], label: str, depth: int) -> SharedRow:
    # A container only waits for the steps inside it: its spans are not work.
    return SharedRow(
        label, depth, tuple(s for row in rows if not row.step.children for s in row.spans)
    )


def count_busy(spans: Sequence[Span], bin_of: Callable[[float], int], bins: int) -> list[int]:
    """The largest number of attempts at the same time, in each of `bins` intervals of the axis.

    `bin_of` gives the interval of a second. An attempt that ends when another begins does not
    overlap it.
    """
    changes = [
        change
        for span in spans
        if span.kind == "attempt"
        for change in ((span.begin_s, 1), (max(span.end_s, span.begin_s + _MOMENT_S), -1))
    ]
    counts = [0] * bins
    busy = reached = 0
    for second, change in sorted(changes):
        for number in range(reached + 1, bin_of(second) + 1):
            counts[number] = busy
        reached = max(reached, bin_of(second))
        busy += change
        counts[reached] = max(counts[reached], busy)
    return counts

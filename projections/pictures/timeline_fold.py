"""Which rows a timeline has: each step where they are few; else those that matter, and the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from orc.ledger.wording import count_text, number_text
from orc.projections.history.timeline import Span, TimelineRow

ROWS_MAX = 150
_INSIDE_MAX = 20
_LOUD = ("failed", "waiting", "running")
_LOUD_MAX = 40
_KEPT_MAX = 110
_MOMENT_S = 1e-6


@dataclass(frozen=True, slots=True)
class Crowd:
    """Steps that share a row: how many they are, and the spans of those that hold no others.

    `depth` is as in a row.
    """

    label: str
    depth: int
    spans: tuple[Span, ...]


Shown = TimelineRow | Crowd


def fold_rows(rows: Sequence[TimelineRow]) -> list[Shown]:
    """The rows to draw, in order; nothing is left out, but many steps may be one `Crowd`."""
    if len(rows) <= ROWS_MAX:
        return list(rows)
    shown = _fold_insides(rows)
    if len(shown) <= ROWS_MAX:
        return shown
    plain = [row for row in shown if isinstance(row, TimelineRow)]
    kept = _worth_a_row(plain)
    # A crowd says whose it is by the row above it.
    kept |= {id(shown[n - 1]) for n, row in enumerate(shown) if isinstance(row, Crowd)}
    others = [row for row in plain if id(row) not in kept]
    left = [row for row in shown if isinstance(row, Crowd) or id(row) in kept]
    return [*left, _crowd(others, count_text(len(others), "more step"), 0)]


def _fold_insides(rows: Sequence[TimelineRow]) -> list[Shown]:
    """Many items of one step go into a row below it; those that failed keep theirs."""
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
                shown.append(_crowd(below, label, row.depth + 1))
    return shown


def _worth_a_row(rows: Sequence[TimelineRow]) -> set[int]:
    """The identities of rows that failed, or wait, or took longest."""
    loud = [row for state in _LOUD for row in rows if row.step.status == state]
    kept = {id(row) for row in loud[:_LOUD_MAX]}
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


def _crowd(rows: Sequence[TimelineRow], label: str, depth: int) -> Crowd:
    # What holds others waits for them, and does no work of its own.
    return Crowd(label, depth, tuple(s for row in rows if not row.step.children for s in row.spans))


def count_busy(spans: Sequence[Span], bin_of: Callable[[float], int], bins: int) -> list[int]:
    """How many attempts went on at once, at most, in each of so many stretches of the axis.

    `bin_of` gives the stretch of a second. What ends as another begins was never beside it.
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

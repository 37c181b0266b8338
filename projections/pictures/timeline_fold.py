"""Which rows a timeline has: each step where they are few; else those that matter, and the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projections.timeline import Span, TimelineRow

ROWS_MAX = 150
_INSIDE_MAX = 20
_LOUD = ("failed", "waiting", "running")
_LOUD_MAX = 40
_KEPT_MAX = 110


@dataclass(frozen=True, slots=True)
class Crowd:
    """Steps that share a row: how many they are, and their spans. `depth` is as in a row."""

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
    others = [row for row in plain if id(row) not in kept]
    left = [row for row in shown if isinstance(row, Crowd) or id(row) in kept]
    return [*left, _crowd(others, f"{len(others):,} more steps", 0)]


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
                inside = of_parent[row.step.name]
                shown.append(_crowd(inside, f"{len(inside):,} inside", row.depth + 1))
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


def _crowd(rows: Sequence[TimelineRow], label: str, depth: int) -> Crowd:
    return Crowd(label, depth, tuple(span for row in rows for span in row.spans))

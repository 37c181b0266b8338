"""Selects the steps that a table shows if a job has very many items, rounds and members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orc.ledger.kinds import NOTABLE

INNER_MAX = 100


def select_steps(
    rows: Sequence[tuple[Any, ...]], *, is_all: bool
) -> tuple[list[tuple[Any, ...]], int]:
    """The rows to show, and the number of rows that are left out.

    The first two columns of a row are a step's name and status; the last is the step that contains
    it, or None. If more than 100 rows have a containing step, only the first 100 of them that are
    running, waiting or failed are shown.
    """
    inner = sum(1 for row in rows if row[-1] is not None)
    if is_all or inner <= INNER_MAX:
        return list(rows), 0
    notable = 0
    shown = []
    for row in rows:
        if row[-1] is not None:
            if row[1] not in NOTABLE or notable >= INNER_MAX:
                continue
            notable += 1
        shown.append(row)
    return shown, len(rows) - len(shown)


def under_their_groups(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows with each step's items, rounds and members right after it, in their order."""
    inside: dict[str | None, list[tuple[Any, ...]]] = {}
    names = {row[0] for row in rows}
    for row in rows:
        inside.setdefault(row[-1] if row[-1] in names else None, []).append(row)
    found = []
    waiting = inside.get(None, [])[::-1]
    while waiting:
        row = waiting.pop()
        found.append(row)
        waiting += inside.get(row[0], [])[::-1]
    return found

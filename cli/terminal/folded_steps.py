"""Which of very many steps a table shows: those of the spec, and inside them the notable ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

FEW = 100
_QUIET = ("succeeded", "skipped", "pending", "cancelled")


def fold_steps(
    rows: Sequence[tuple[Any, ...]], *, is_all: bool
) -> tuple[list[tuple[Any, ...]], int]:
    """The rows to show, and how many are left out.

    A row begins with a step's name and status, and ends with what it is inside of.
    Items and rounds are left out where there are more than a hundred, unless they
    run, wait or have failed; of those, the first hundred are kept.
    """
    inside = sum(1 for row in rows if row[-1] is not None)
    if is_all or inside <= FEW:
        return list(rows), 0
    loud = 0
    shown = []
    for row in rows:
        if row[-1] is not None:
            if row[1] in _QUIET or loud >= FEW:
                continue
            loud += 1
        shown.append(row)
    return shown, len(rows) - len(shown)

"""Checks the names of steps that an option gives."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from orc.cli.errors import UsageProblem
from orc.ledger.step_names import lineage
from orc.scheduler.core.errors import nearest


def check_step_names(option: str, names: Iterable[str], known: Collection[str]) -> None:
    """Raise UsageProblem for a name that no step has; `option` starts the message."""
    for name in names:
        if name not in known:
            *_, root = lineage(name)
            if root != name and root in known:
                raise UsageProblem(
                    f"{option}: {name!r} is inside step {root!r} and cannot be chosen alone; "
                    f"use {option} {root}"
                )
            raise UsageProblem(f"{option}: there is no step {name!r}{nearest(name, known)}")

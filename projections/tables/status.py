"""How a status is shown: the stored one, but for `interrupted`, which no event can tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orc.ledger.kinds import CACHED, INTERRUPTED
from orc.ledger.locks import has_owner

if TYPE_CHECKING:
    from orc.projections.tables.rows import StepRow


def shown_status(database: Path, job_id: str, stored: str) -> str:
    """The status of a job now: one that has not ended and that no live process runs is interrupted."""
    if stored == "running" and not has_owner(database, job_id):
        return INTERRUPTED
    return stored


def step_state(step: StepRow, *, is_live: bool = True) -> str:
    """The state in which a step is drawn: `cached` where its result is from elsewhere.

    Where no process runs the job, a step that was running is `interrupted`.
    """
    if step.status == "succeeded" and step.reused is not None:
        return CACHED
    if step.status == "running" and not is_live:
        return INTERRUPTED
    return step.status

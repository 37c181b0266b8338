"""The status to show: the stored one, or `interrupted`, which depends on the live processes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orc.ledger.files.locks import has_owner
from orc.ledger.kinds import CACHED, INTERRUPTED
from orc.ledger.stored import check_job_id

if TYPE_CHECKING:
    from orc.projections.tables.rows import StepRow


def shown_status(database: Path, job_id: str, stored: str) -> str:
    """The status of a job now: `interrupted` if it is stored as running and no live process runs it."""
    check_job_id(job_id, where=str(database))
    if stored == "running" and not has_owner(database, job_id):
        return INTERRUPTED
    return stored


def step_state(step: StepRow, *, is_live: bool = True) -> str:
    """The state in which pictures and pages show a step.

    `cached` if its result was copied from another step; `interrupted` if it was running and no
    process runs the job.
    """
    if step.status == "succeeded" and step.reused is not None:
        return CACHED
    if step.status == "running" and not is_live:
        return INTERRUPTED
    return step.status

"""What a person can do with a job in its state, and what is said of its runner in the background."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orc.ledger.files.locks import has_owner
from orc.ledger.files.runner_log import RunnerSeen, read_runner
from orc.ledger.kinds import JOB_ENDED, QUEUED, SHOWN_RESUMABLE


@dataclass(frozen=True, slots=True)
class CanDo:
    """Which actions a job in its shown status allows. Each can be forked."""

    resume: bool
    cancel: bool
    rerun: bool


def can_do(status: str) -> CanDo:
    """The actions for a job with this shown status."""
    is_live = status == "running"
    return CanDo(
        resume=status in SHOWN_RESUMABLE or status == QUEUED,
        cancel=status not in JOB_ENDED,
        rerun=not is_live,
    )


@dataclass(frozen=True, slots=True)
class RunnerNote:
    """The runner of a job: `state` is starting, running, failed (it started nothing) or ended."""

    state: str
    seen: RunnerSeen


def runner_note(database: Path, job_id: str, head: int) -> RunnerNote | None:
    """The job's runner; None without one. `head` is the version of the job's last event."""
    seen = read_runner(database, job_id)
    if seen is None:
        return None
    if seen.is_running:
        return RunnerNote("running" if has_owner(database, job_id) else "starting", seen)
    return RunnerNote("failed" if head <= seen.version else "ended", seen)

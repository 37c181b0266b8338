"""What a person can do with a job in its state, and what is said of its runner in the background."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from orc.ledger.files.locks import has_owner
from orc.ledger.files.runner_log import RunnerSeen, read_runner
from orc.ledger.kinds import JOB_ENDED, QUEUED, SHOWN_RESUMABLE, STARTING


class CanDo(Struct, frozen=True):
    """Which actions a job in its shown status allows. Each can be forked."""

    resume: bool
    cancel: bool
    rerun: bool


def can_do(status: str) -> CanDo:
    """The actions for a job with this shown status."""
    return CanDo(
        resume=status in SHOWN_RESUMABLE or status == QUEUED,
        cancel=status not in JOB_ENDED,
        rerun=status not in ("running", STARTING),
    )


class RunnerNote(Struct, frozen=True):
    """The runner of a job: `state` is starting, running, failed (it started nothing) or ended."""

    state: str
    seen: RunnerSeen


def runner_note(database: Path, job_id: str, status: str, head: int) -> RunnerNote | None:
    """The job's runner; None without one.

    `status` is the shown one of the job, and `head` the version of its last event.
    """
    seen = read_runner(database, job_id)
    if seen is None:
        return None
    if status == STARTING:
        return RunnerNote("starting", seen)
    if seen.is_running and has_owner(database, job_id):
        return RunnerNote("running", seen)
    did_nothing = head <= seen.version and not seen.is_withdrawn
    return RunnerNote("failed" if did_nothing else "ended", seen)

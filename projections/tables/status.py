"""The status to show: the stored one, or one that depends on live processes, such as `interrupted`."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from orc.ledger.command_lines import quoted_command
from orc.ledger.files.lock_paths import runner_log_path
from orc.ledger.kinds import CACHED, INTERRUPTED, QUEUED, STARTING, facts_of
from orc.ledger.names import check_job_id
from orc.projections.tables.inner_waits import is_in_batch

if TYPE_CHECKING:
    from orc.projections.tables.job_view import JobView
    from orc.projections.tables.rows import StepRow


def queued_text() -> str:
    """What is said of a job that waits for a worker."""
    return f"queued: no worker has taken it; start one with {quoted_command('work')}"


def starting_text() -> str:
    """What is said of a job that a process in the background is about to run."""
    return "a process in the background is starting to run the job"


NEXT_TEXTS = {QUEUED: queued_text, STARTING: starting_text}
"""What is said, by the shown status, of a job that a process will run."""

IN_QUEUE = (
    "jobs.queued AND NOT EXISTS (SELECT 1 FROM orc_meta WHERE key = 'imported:' || jobs.job_id)"
)
"""The condition that workers run a job of this ledger. An imported job was in another one's queue."""


def shown_status(connection: sqlite3.Connection, database: Path, job_id: str, stored: str) -> str:
    """The status of a job now.

    A job that a process in the background is about to run is `starting`, whatever is stored. Another
    one that is stored as running and that no live process runs is `queued` if a worker will run it,
    else `interrupted`.
    """
    check_job_id(job_id, where=str(database))
    return status_by_processes(
        database,
        job_id,
        stored,
        is_queued=lambda: is_in_queue(connection, job_id),
        head=lambda: _head(connection, job_id),
    )


def status_by_processes(
    database: Path,
    job_id: str,
    stored: str,
    *,
    is_queued: Callable[[], bool],
    head: Callable[[], int],
) -> str:
    """See `shown_status`. `head` reads the version of the job's last event."""
    # The owner is looked for last: the process may take its job between two of the questions.
    is_starting = _is_starting(database, job_id, head)
    if stored == "running" and _has_owner(database, job_id):
        return stored
    if is_starting:
        return STARTING
    if stored == "running":
        return QUEUED if is_queued() else INTERRUPTED
    return stored


def is_starting(connection: sqlite3.Connection, database: Path, job_id: str) -> bool:
    """Whether a process in the background is about to run the job: it has recorded nothing yet."""
    return _is_starting(database, job_id, lambda: _head(connection, job_id))


def may_go_on(connection: sqlite3.Connection, database: Path, job_id: str) -> bool:
    """Whether a process runs the job or is about to, or a worker will."""
    # What is starting comes first: it may own the job at the next look.
    return (
        is_starting(connection, database, job_id)
        or _has_owner(database, job_id)
        or is_in_queue(connection, job_id)
    )


def _is_starting(database: Path, job_id: str, head: Callable[[], int]) -> bool:
    # Unlike that of a path, this says no of a folder that only another user may read.
    if not os.path.exists(runner_log_path(database, job_id)):
        return False
    # Imported here, as below: of most jobs that are shown, no process may be running.
    from orc.ledger.files.runner_log import read_runner

    seen = read_runner(database, job_id)
    return seen is not None and seen.may_start and seen.version == head()


def _has_owner(database: Path, job_id: str) -> bool:
    from orc.ledger.files.locks import has_owner

    return has_owner(database, job_id)


def _head(connection: sqlite3.Connection, job_id: str) -> int:
    query = "SELECT max(version) FROM events WHERE job_id = ?"
    return int(connection.execute(query, (job_id,)).fetchone()[0] or 0)


def is_in_queue(connection: sqlite3.Connection, job_id: str) -> bool:
    """Whether workers run the job when no other process does."""
    query = f"SELECT 1 FROM jobs WHERE job_id = ? AND {IN_QUEUE}"
    return connection.execute(query, (job_id,)).fetchone() is not None


def step_state(view: JobView, step: StepRow, *, is_live: bool = True) -> str:
    """The state in which pictures and pages show a step of the job.

    `cached` if its result was copied from another step; `queued` if it waits for a worker of its
    executor; `waiting`, too, if its call is in a batch, or if it contains steps that wait and none that
    runs; `interrupted` if it was running here and no process runs the job.
    """
    if step.status == "succeeded" and step.reused is not None:
        return CACHED
    if step.is_queued:
        return QUEUED
    if step.status == "running" and facts_of(step.kind).is_container:
        inside = view.inner_waits.get(step.name)
        if view.job.status == "waiting" or (inside is not None and inside.is_waiting):
            return "waiting"
    if is_in_batch(step):
        return "waiting"
    return INTERRUPTED if is_left_running(step, is_live=is_live) else step.status


def is_left_running(step: StepRow, *, is_live: bool) -> bool:
    """Whether the step was running here, and no process runs the job any more."""
    return step.status == "running" and not is_live and step.executor is None


def step_as_shown(step: StepRow, *, is_live: bool) -> StepRow:
    """The step's row, with the status `interrupted` if it was left running."""
    left = is_left_running(step, is_live=is_live)
    return step._replace(status=INTERRUPTED) if left else step


def step_status(view: JobView, step: StepRow, *, is_live: bool) -> str:
    """The status of a step in words: that of `step_state`, but of a cached step the stored one."""
    state = step_state(view, step, is_live=is_live)
    return step.status if state == CACHED else state


def left_queue_text(crashes: object) -> str:
    """Why a job was taken out of the queue, after this many workers died with it."""
    return (
        f"{crashes} workers in a row died while they ran the job, without any progress: it left the "
        "queue"
    )

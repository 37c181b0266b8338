"""A job's tables, as they are or as they were after an earlier event. Starts fast."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orc.cli.options import read_tables


@dataclass(frozen=True, slots=True)
class JobTables:
    """Tables of a job: its own, or those of a moment, then after event `at` at the time `said_at`."""

    connection: sqlite3.Connection
    path: Path
    job_id: str
    at: int | None = None
    said_at: str | None = None

    def status(self, stored: str) -> str:
        """How the job's status is shown: nobody knows any more whether it had an owner then."""
        from orc.projections.tables.status import shown_status

        return stored if self.at is not None else shown_status(self.path, self.job_id, stored)


@contextmanager
def read_job_at(database: Path | None, job: str, at: int | None) -> Iterator[JobTables]:
    """The tables of the job that `job` names; with `at`, as they were after that event.

    Says on stderr which moment it is. Raises NoSuchJob, and UsageProblem for no such event.
    """
    from orc.ledger import find_job

    with read_tables(database) as (connection, path):
        job_id = find_job(connection, job, path=path)
        if at is None:
            yield JobTables(connection, path, job_id)
            return
        said_at = say_moment(connection, job_id, at)
    from orc.projections.tables.moment import tables_at

    with tables_at(path, job_id, at) as then:
        yield JobTables(then, path, job_id, at, said_at)


def say_moment(connection: sqlite3.Connection, job_id: str, at: int) -> str:
    """Say on stderr which moment of the job is shown; the time of event `at`, UTC text.

    Raises UsageProblem for no such event.
    """
    from orc.cli.terminal.text import say

    (head,) = connection.execute(
        "SELECT max(version) FROM events WHERE job_id = ?", (job_id,)
    ).fetchone()
    row = connection.execute(
        "SELECT recorded_at FROM events WHERE job_id = ? AND version = ?", (job_id, at)
    ).fetchone()
    if row is None:
        from orc.cli.errors import UsageProblem

        raise UsageProblem(f"--at {at}: {job_id} has the events 1 to {head}; `orc tail` lists them")
    said_at = str(row[0])
    say(f"as of event {at} of {head}, {said_at[:10]} {said_at[11:19]} UTC")
    return said_at

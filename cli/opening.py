"""Opens a ledger for a command: with its events, with its tables, or as it was after an event.

Commands that read tables alone start fast: what reads events, or writes, is imported where it
is used.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orc.cli.errors import UsageProblem
from orc.cli.terminal.text import say
from orc.ledger import connect_reader, find_job
from orc.ledger.connection import storage_errors
from orc.projections.tables.version import VERSION

if TYPE_CHECKING:
    from orc.cli.jobs.places import Places
    from orc.ledger import LedgerReader


def find_places(database: Path | None, runs_dir: Path | None = None) -> Places:
    """Where the ledger and the run folders are."""
    from orc.cli.jobs.places import Places

    return Places.find(database=database, runs_dir=runs_dir)


@contextmanager
def read_ledger(database: Path | None) -> Iterator[LedgerReader]:
    """The ledger, read-only, with its events."""
    from orc.ledger import LedgerReader

    with LedgerReader.open(database_path(database)) as reader:
        yield reader


@contextmanager
def read_tables(database: Path | None) -> Iterator[tuple[sqlite3.Connection, Path]]:
    """The read model alone, for commands that should start fast, and the ledger's path.

    Tables of an older version of orc are derived anew first.
    """
    path = database_path(database)
    connection = connect_reader(path)
    if _has_old_tables(connection):
        connection.close()
        _derive_tables(path)
        connection = connect_reader(path)
    try:
        with storage_errors(path):
            yield connection, path
    finally:
        connection.close()


@contextmanager
def read_ledger_and_tables(database: Path | None) -> Iterator[LedgerReader]:
    """The ledger, read-only, with its events and tables of this version; see `read_tables`."""
    from orc.ledger import LedgerReader

    with read_tables(database) as (connection, path):
        yield LedgerReader(path, connection)


def _has_old_tables(connection: sqlite3.Connection) -> bool:
    row = connection.execute("SELECT value FROM orc_meta WHERE key = 'read_model'").fetchone()
    return row is not None and int(row[0]) < VERSION


def _derive_tables(path: Path) -> None:
    from orc.cli.jobs.places import open_for_writing

    # Opening does it.
    open_for_writing(find_places(path)).close()


def database_path(database: Path | None) -> Path:
    """The ledger's path by option, environment or default; `Places.find` without its imports."""
    return (database or Path(os.environ.get("ORC_DB") or "runs.db")).absolute()


def live_status(path: Path) -> Callable[[str, str], str]:
    """How to show a stored status: a job that has not ended and has no owner is interrupted."""
    from orc.projections.tables.status import shown_status

    return partial(shown_status, path)


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
    (head,) = connection.execute(
        "SELECT max(version) FROM events WHERE job_id = ?", (job_id,)
    ).fetchone()
    row = connection.execute(
        "SELECT recorded_at FROM events WHERE job_id = ? AND version = ?", (job_id, at)
    ).fetchone()
    if row is None:
        raise UsageProblem(f"--at {at}: {job_id} has the events 1 to {head}; `orc tail` lists them")
    said_at = str(row[0])
    say(f"as of event {at} of {head}, {said_at[:10]} {said_at[11:19]} UTC")
    return said_at

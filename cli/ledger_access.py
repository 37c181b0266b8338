"""Opens the ledger for a command: its events, its tables, or a job's tables as of an earlier event.

A command that reads only tables starts fast. The functions that read events, or write, therefore
import what they need when they are called.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from orc.cli.errors import UsageProblem
from orc.cli.terminal.text import say
from orc.cli.terminal.times import when
from orc.ledger import connect_reader, find_job
from orc.ledger.command_lines import quoted_command
from orc.ledger.connection import storage_errors
from orc.ledger.files.way import ledger_path
from orc.projections.tables.own_schema import check_own_tables
from orc.projections.tables.version import has_older_tables

if TYPE_CHECKING:
    from orc.cli.jobs.places import Places
    from orc.ledger import LedgerReader


def find_places(database: Path | None, runs_dir: Path | None = None) -> Places:
    """The paths of the ledger and the run folders, and the prices; see `Places.find`."""
    from orc.cli.jobs.places import Places

    return Places.find(database=database, runs_dir=runs_dir)


@contextmanager
def read_ledger(database: Path | None) -> Iterator[LedgerReader]:
    """The ledger, read-only, with its events."""
    from orc.ledger import LedgerReader

    with LedgerReader.open(database_path(database)) as reader:
        with storage_errors(reader.path):
            check_own_tables(reader.connection)
        yield reader


@contextmanager
def read_tables(database: Path | None) -> Iterator[tuple[sqlite3.Connection, Path]]:
    """A read-only connection to the tables, for commands that should start fast; the ledger's path.

    Tables of an older version of orc are rebuilt first; see `connect_rebuilt`.
    """
    path = database_path(database)
    connection: sqlite3.Connection = connect_reader(path)
    if has_older_tables(connection):
        connection.close()
        connection = _connect_rebuilt(path)
    try:
        with storage_errors(path):
            check_own_tables(connection)
            yield connection, path
    finally:
        connection.close()


@contextmanager
def read_ledger_and_tables(database: Path | None) -> Iterator[LedgerReader]:
    """The ledger, read-only, with its events and with tables of this version; see `read_tables`."""
    from orc.ledger import LedgerReader

    with read_tables(database) as (connection, path):
        yield LedgerReader(path, connection)


def _connect_rebuilt(path: Path) -> sqlite3.Connection:
    from orc.cli.jobs.places import connect_rebuilt

    return connect_rebuilt(find_places(path))


def database_path(database: Path | None) -> Path:
    """The ledger's real path, as in `Places.find`."""
    return ledger_path(database, os.environ)


def live_status(connection: sqlite3.Connection, path: Path) -> Callable[[str, str], str]:
    """A function from a job's id and stored status to the status to show; see `shown_status`."""
    from orc.projections.tables.status import shown_status

    return partial(shown_status, connection, path)


class JobTables(NamedTuple):
    """The tables of a job: the current ones, or, with `at`, as they were after that event.

    `recorded_at` is the time of event `at`, UTC text.
    """

    connection: sqlite3.Connection
    path: Path
    job_id: str
    at: int | None = None
    recorded_at: str | None = None

    def status(self, stored: str) -> str:
        """The status to show. Whether the job had an owner after an earlier event is not known."""
        from orc.projections.tables.status import shown_status

        if self.at is not None:
            return stored
        return shown_status(self.connection, self.path, self.job_id, stored)


@contextmanager
def read_job_at(database: Path | None, job: str, at: int | None) -> Iterator[JobTables]:
    """The tables of a job; with `at`, as they were after that event, which is printed on stderr.

    Raises NoSuchJob, and UsageProblem if the job has no event `at`.
    """
    with read_tables(database) as (connection, path):
        job_id = find_job(connection, job, path=path)
        if at is None:
            yield JobTables(connection, path, job_id)
            return
        recorded_at = say_as_of(connection, job_id, at)
    from orc.projections.tables.derived_tables import tables_at

    with tables_at(path, job_id, at) as tables:
        yield JobTables(tables, path, job_id, at, recorded_at)


def say_as_of(connection: sqlite3.Connection, job_id: str, at: int) -> str:
    """Print on stderr as of which event the job is shown; the time of that event, UTC text.

    Raises UsageProblem if the job has no event `at`.
    """
    (head,) = connection.execute(
        "SELECT max(version) FROM events WHERE job_id = ?", (job_id,)
    ).fetchone()
    row = connection.execute(
        "SELECT recorded_at FROM events WHERE job_id = ? AND version = ?", (job_id, at)
    ).fetchone()
    if row is None:
        raise UsageProblem(
            f"--at {at}: {job_id} has the events 1 to {head}; "
            f"{quoted_command('tail', job_id)} lists them"
        )
    recorded_at = str(row[0])
    say(f"as of event {at} of {head}, {when(recorded_at)}")
    return recorded_at

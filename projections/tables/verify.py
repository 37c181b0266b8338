"""Verifies the read model: derives the tables from the events again and compares the rows."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orc.ledger.command_lines import quoted_command
from orc.ledger.connection import storage_errors
from orc.ledger.events import Recorded
from orc.ledger.reader import LedgerReader
from orc.ledger.tables import Table
from orc.projections.money.prices import NO_PRICES
from orc.projections.tables.columns import table_of
from orc.projections.tables.derived_tables import apply_events, attach_tables
from orc.projections.tables.projector import ReadModel
from orc.projections.tables.rows import ROWS
from orc.projections.tables.version import VERSION

_SHOWN_MAX = 5


def has_current_tables(connection: sqlite3.Connection) -> bool:
    """Whether the read model in the ledger has the current `VERSION`."""
    row = connection.execute("SELECT value FROM orc_meta WHERE key = 'read_model'").fetchone()
    return row is not None and row[0] == str(VERSION)


class TableChecker:
    """Compares the rows of jobs with their events; the temporary tables are made once.

    Call `close` at the end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Costs are not compared, so that no price has to be found.
        self._model = ReadModel(NO_PRICES)
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the temporary tables."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def problems(self, job_id: str) -> Iterator[str]:
        """A message for each table in which the job's rows differ from its events.

        Costs are not compared. Raises LedgerError if an event cannot be read.
        """
        with storage_errors(self._path), self.snapshot() as connection:
            events = LedgerReader(self._path, connection).read_stream(job_id)
            yield from self.differences(connection, job_id, events)

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection that shows one state of the ledger, and has empty tables beside it."""
        if self._connection is None:
            self._connection = attach_tables(self._path, self._model)
            # Also closed if its user forgets `close`.
            weakref.finalize(self, self._connection.close)
        self._connection.execute("BEGIN")
        try:
            yield self._connection
        finally:
            # SQLite has rolled back already if the disk is full.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def differences(
        self, connection: sqlite3.Connection, job_id: str, events: Iterator[Recorded]
    ) -> Iterator[str]:
        """The messages of `problems`, from all events of the job in a `snapshot`."""
        apply_events(connection, self._path, job_id, self._model, events)
        for row_type in ROWS:
            yield from _differences(connection, table_of(row_type), job_id)


def rows_of_no_job(connection: sqlite3.Connection) -> Iterator[str]:
    """A message for each table with rows that `TableChecker` compares with no job."""
    for row_type in ROWS:
        table = table_of(row_type)
        moved = "OR " + _OTHER_STEP if _by_step(table) else ""
        query = (
            f"SELECT {table.key} FROM {table.name} WHERE job_id IS NULL {moved} OR job_id NOT IN "
            f"(SELECT job_id FROM events WHERE version = 1) LIMIT {_SHOWN_MAX}"
        )
        try:
            found = connection.execute(query).fetchall()
        except sqlite3.OperationalError:
            continue  # The table is missing or changed, which is a problem of each job.
        if found:
            shown = ", ".join(str(key) for (key,) in found)
            yield (
                f"table {table.name} has rows of no job: {shown}; "
                f"{quoted_command('rebuild')} derives it again"
            )


_OTHER_STEP = "step_id IS NULL OR substr(step_id, 1, length(job_id) + 1) <> job_id || '/'"


def _by_step(table: Table) -> bool:
    """Whether the table has an index by step and none by job."""
    indexed = {column.name for column in table.columns if column.is_indexed}
    return "job_id" not in indexed and "step_id" in indexed and table.key != "job_id"


def _of_job(table: Table, side: str, *, is_found: bool = False) -> str:
    """The condition for the rows of a job, which an index finds; not if its key has found the row."""
    plus = "+" if is_found else ""
    if _by_step(table):
        step = f"{plus}{side}.step_id"
        # `0` comes after `/`.
        return f"{step} >= :job_id || '/' AND {step} < :job_id || '0'"
    return f"{plus}{side}.job_id = :job_id"


def _differences(connection: sqlite3.Connection, table: Table, job_id: str) -> Iterator[str]:
    # Costs are left out: other prices may have been in effect when the job ran.
    columns = [column.name for column in table.columns if not column.is_by_prices]
    name, key = table.name, table.key
    same = " AND ".join(f"derived.{column} IS stored.{column}" for column in columns)
    # Each stored row of the job is derived, too, and each derived row is stored for the job. Both sides
    # are found by their keys, which is faster than sorting the rows.
    query = (
        f"SELECT {key} FROM ledger.{name} AS stored WHERE {_of_job(table, 'stored')} AND NOT EXISTS "
        f"(SELECT 1 FROM main.{name} AS derived WHERE derived.{key} = stored.{key} AND {same}) "
        f"UNION SELECT {key} FROM main.{name} AS derived WHERE {_of_job(table, 'derived')} AND "
        f"NOT EXISTS (SELECT 1 FROM ledger.{name} AS stored WHERE stored.{key} = derived.{key} "
        f"AND {_of_job(table, 'stored', is_found=True)})"
    )
    try:
        rows = connection.execute(query, {"job_id": job_id}).fetchall()
    except sqlite3.OperationalError as error:
        yield f"table {name}: {error}; {quoted_command('rebuild')} derives it again"
        return
    shown = ", ".join(str(row[0]) for row in rows[:_SHOWN_MAX])
    more = f" and {len(rows) - _SHOWN_MAX} more" if len(rows) > _SHOWN_MAX else ""
    if rows:
        yield (
            f"table {name} differs from the events in {shown}{more}; "
            f"{quoted_command('rebuild')} derives it again"
        )

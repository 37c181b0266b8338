"""Derives the read model in a temporary database, also as it was after an earlier event.

The database has the same tables as the ledger. Every page and command that shows a job can
therefore also show it as of an earlier event.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice, takewhile
from pathlib import Path

from orc.ledger.connection import Reader, source_to_read, storage_errors
from orc.ledger.events import Recorded
from orc.ledger.reader import LedgerReader
from orc.ledger.schema import migrate
from orc.ledger.schema_check import limit
from orc.ledger.stored import as_damage
from orc.projections.money.prices import NO_PRICES, PriceTable
from orc.projections.money.unknown_costs import sql_unpriced
from orc.projections.tables.columns import table_of
from orc.projections.tables.projector import ReadModel
from orc.projections.tables.rows import CallRow
from orc.projections.tables.statements import in_usd

_BATCH = 4000
"""A thousand steps often begin before the first of them ends: an attempt in one batch is one row."""


def attach_tables(path: Path, model: ReadModel) -> sqlite3.Connection:
    """A temporary database with the empty tables of the read model, and the ledger attached.

    `events` and `blobs` are the ledger's own, and `ledger.` is the prefix of all the ledger's tables.
    The caller closes the connection.
    """
    # The empty name is a temporary file, which SQLite removes: the tables need not fit into memory.
    connection = sqlite3.connect(
        "", uri=True, isolation_level=None, check_same_thread=False, factory=Reader
    )
    try:
        connection.execute("BEGIN")
        migrate(connection)
        model.create(connection)
        # Without these tables, SQLite finds the names in the attached ledger.
        for name in ("events", "blobs", "signals", "orc_meta"):
            connection.execute(f"DROP TABLE {name}")
        connection.execute("COMMIT")
        connection.source = source_to_read(path)
        connection.execute("ATTACH ? AS ledger", (connection.source.uri,))
        limit(connection, path, connection.source.uri)
    except BaseException:
        connection.close()
        raise
    return connection


def derive_tables(
    connection: sqlite3.Connection,
    path: Path,
    job_id: str,
    model: ReadModel,
    *,
    up_to: int | None = None,
) -> None:
    """Derive the tables of a job, in a connection of `attach_tables` and the caller's transaction.

    The transaction is one snapshot of the ledger, to which other processes may append. `up_to` is
    the last version of the job that is applied. Raises LedgerError if an event cannot be read, or if
    the events are not those of a job.
    """
    events: Iterator[Recorded] = LedgerReader(path, connection).read_stream(job_id)
    if up_to is not None:
        events = takewhile(lambda recorded: recorded.version <= up_to, events)
    apply_events(connection, path, job_id, model, events)


def apply_events(
    connection: sqlite3.Connection,
    path: Path,
    job_id: str,
    model: ReadModel,
    events: Iterator[Recorded],
) -> None:
    """Derive the tables of a job from all its events, as `derive_tables` does."""
    with as_damage(f"{path}: the tables of {job_id} cannot be derived from its events"):
        while batch := list(islice(events, _BATCH)):
            model.apply(connection, batch)


def derive_all_tables(path: Path, prices: PriceTable) -> sqlite3.Connection:
    """A connection of `attach_tables` with the tables of all jobs, which shows one state of the ledger.

    The caller closes it. Raises LedgerError.
    """
    with storage_errors(path):
        model = ReadModel(prices)
        connection = attach_tables(path, model)
        try:
            connection.execute("BEGIN")
            events = LedgerReader(path, connection).read_all()
            with as_damage(f"{path}: its tables cannot be derived from its events"):
                while batch := list(islice(events, _BATCH)):
                    model.apply(connection, batch)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def tables_at(path: Path, job_id: str, version: int) -> Iterator[sqlite3.Connection]:
    """The tables of a job as they were after its event `version`, from 1.

    Costs are copied from the ledger's own tables. Raises LedgerError.
    """
    with storage_errors(path):
        model = ReadModel(NO_PRICES)
        connection = attach_tables(path, model)
        try:
            connection.execute("BEGIN")
            derive_tables(connection, path, job_id, model, up_to=version)
            for statement in _COSTS_OF_THE_LEDGER:
                connection.execute(statement)
            yield connection
        finally:
            connection.close()


_SUMS = (
    f"(SELECT sum(cost_nano_usd), {in_usd('sum(cost_nano_usd)')}, "
    f"count(*) FILTER (WHERE {sql_unpriced('llm_calls')}) FROM llm_calls"
)
_PRICED = ", ".join(column.name for column in table_of(CallRow).columns if column.is_by_prices)
_COSTS_OF_THE_LEDGER = (
    # A call that was in flight at that event had no cost yet.
    f"UPDATE llm_calls SET ({_PRICED}) = (SELECT {_PRICED} FROM ledger.llm_calls AS kept "
    "WHERE kept.call_id = llm_calls.call_id) "
    "WHERE input_tokens IS NOT NULL OR status IN ('answered', 'from ledger')",
    f"UPDATE steps SET (cost_nano_usd, cost_usd, calls_unpriced) = {_SUMS} "
    "WHERE llm_calls.step_id = steps.step_id) WHERE calls",
    f"UPDATE jobs SET (cost_nano_usd, cost_usd, calls_unpriced) = {_SUMS} "
    "WHERE llm_calls.job_id = jobs.job_id) WHERE calls",
)

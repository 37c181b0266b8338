"""Verifies the read model: derives the tables from the events again and compares the rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from orc.ledger.connection import storage_errors
from orc.ledger.tables import Table
from orc.projections.money.prices import PriceTable
from orc.projections.tables.columns import table_of
from orc.projections.tables.moment import derive_tables
from orc.projections.tables.rows import ROWS
from orc.projections.tables.version import VERSION

_SHOWN_MAX = 5


def has_current_tables(connection: sqlite3.Connection) -> bool:
    """Whether the read model in the ledger has the current `VERSION`."""
    row = connection.execute("SELECT value FROM orc_meta WHERE key = 'read_model'").fetchone()
    return row is not None and row[0] == str(VERSION)


def check_tables(path: Path, job_id: str | None, *, prices: PriceTable) -> Iterator[str]:
    """Compare the rows of one job, or of all with None; yields a message for each table that differs.

    Costs are not compared. Raises LedgerError if an event cannot be read.
    """
    with storage_errors(path), closing(derive_tables(path, job_id, prices=prices)) as connection:
        for row_type in ROWS:
            yield from _differences(connection, table_of(row_type), job_id)


def _differences(connection: sqlite3.Connection, table: Table, job_id: str | None) -> Iterator[str]:
    # Costs are left out: other prices may have been in effect when the job ran.
    columns = ", ".join(column.name for column in table.columns if not column.is_by_prices)
    chosen = "" if job_id is None else " WHERE job_id = :job_id"
    name, key = table.name, table.key
    derived, stored = (
        f"SELECT {columns} FROM {side}.{name}{chosen}" for side in ("main", "ledger")
    )
    try:
        rows = connection.execute(
            f"SELECT DISTINCT {key} FROM ({derived} EXCEPT {stored}) "
            f"UNION SELECT {key} FROM ({stored} EXCEPT {derived})",
            {"job_id": job_id},
        ).fetchall()
    except sqlite3.OperationalError as error:
        yield f"table {name}: {error}; `orc rebuild` derives it again"
        return
    shown = ", ".join(str(row[0]) for row in rows[:_SHOWN_MAX])
    more = f" and {len(rows) - _SHOWN_MAX} more" if len(rows) > _SHOWN_MAX else ""
    if rows:
        yield (
            f"table {name} differs from the events in {shown}{more}; `orc rebuild` derives it again"
        )

"""Do the tables still say what the events say? They are derived anew beside, and compared."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from orc.ledger.connection import storage_errors
from orc.projections.money.prices import PriceTable
from orc.projections.tables.moment import derive_beside
from orc.projections.tables.schema import TABLES, VERSION

_SHOWN_MAX = 5
_OF_PRICES = ("cost_usd", "price_date", "calls_unpriced", "saved_usd")
"""Columns that a table of prices decides as well, which may have been another one then."""


def has_today_tables(connection: sqlite3.Connection) -> bool:
    """Whether the ledger's read model is of this version of orc."""
    row = connection.execute("SELECT value FROM orc_meta WHERE key = 'read_model'").fetchone()
    return row is not None and row[0] == str(VERSION)


def check_tables(path: Path, job_id: str | None, *, prices: PriceTable) -> Iterator[str]:
    """The rows of the read model that differ from what the events give, of one job or of all.

    Costs are not compared. Raises LedgerError where events cannot be read.
    """
    with storage_errors(path), closing(derive_beside(path, job_id, prices=prices)) as connection:
        for table in reversed(TABLES):
            yield from _differences(connection, table, job_id)


def _differences(connection: sqlite3.Connection, table: str, job_id: str | None) -> Iterator[str]:
    names = [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")]
    columns = ", ".join(name for name in names if name not in _OF_PRICES)
    chosen = "" if job_id is None else " WHERE job_id = :job_id"
    mine, theirs = (f"SELECT {columns} FROM {side}.{table}{chosen}" for side in ("main", "ledger"))
    key = names[0]
    try:
        rows = connection.execute(
            f"SELECT DISTINCT {key} FROM ({mine} EXCEPT {theirs}) "
            f"UNION SELECT {key} FROM ({theirs} EXCEPT {mine})",
            {"job_id": job_id},
        ).fetchall()
    except sqlite3.OperationalError as error:
        yield f"table {table}: {error}; `orc rebuild` derives it anew"
        return
    shown = ", ".join(str(row[0]) for row in rows[:_SHOWN_MAX])
    more = f" and {len(rows) - _SHOWN_MAX} more" if len(rows) > _SHOWN_MAX else ""
    if rows:
        yield (
            f"table {table} differs from the events in {shown}{more}; `orc rebuild` derives it anew"
        )

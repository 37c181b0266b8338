"""Do the tables still say what the events say? They are derived anew beside, and compared."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from ledger.connection import storage_errors
from ledger.reader import LedgerReader
from ledger.schema import migrate
from projections.prices import PriceTable
from projections.read_model import ReadModel
from projections.read_model_schema import TABLES, VERSION

_BATCH = 1000
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
    with storage_errors(path), closing(_derive_beside(path, job_id, prices)) as connection:
        for table in reversed(TABLES):
            yield from _differences(connection, table, job_id)


def _derive_beside(path: Path, job_id: str | None, prices: PriceTable) -> sqlite3.Connection:
    """A private database with the tables as they should be, and the ledger beside it."""
    # In a file that SQLite takes away: a long ledger's tables need not fit into memory.
    connection = sqlite3.connect("", uri=True, isolation_level=None)
    try:
        model = ReadModel(prices)
        migrate(connection)
        model.create(connection)
        # From now on these names are the ledger's.
        for name in ("events", "blobs"):
            connection.execute(f"DROP TABLE {name}")
        uri = f"file:{quote(str(path.absolute()))}?mode=ro"
        connection.execute("ATTACH ? AS ledger", (uri,))
        # One view of the ledger for both: it may grow meanwhile.
        connection.execute("BEGIN")
        reader = LedgerReader(path, connection)
        events = reader.read_all() if job_id is None else reader.read_stream(job_id)
        while batch := list(islice(events, _BATCH)):
            model.apply(connection, batch)
    except BaseException:
        connection.close()
        raise
    return connection


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

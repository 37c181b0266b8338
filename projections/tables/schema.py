"""Creates the tables of the read model: the statements in `schema.sql`. Empties them for one job.

sqlite-utils makes the statements from the rows that `rows.py` declares; `python docs/generate.py`
writes them. A new ledger is created without it: it imports pandas wherever that is installed, for
types that the read model does not have, which takes half a second and 90 MB.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from orc.ledger.tables import Table
from orc.projections.tables.columns import table_name, table_of
from orc.projections.tables.own_schema import STATEMENT_END, own_statements
from orc.projections.tables.rows import ROWS

TABLES = tuple(table_name(row_type) for row_type in reversed(ROWS))
"""The names of the tables, in an order in which they can be dropped."""

_PYTHON_TYPES = {"TEXT": str, "INTEGER": int, "REAL": float}


def create_tables(connection: sqlite3.Connection) -> None:
    """Drop the read model and create it empty. The caller has begun a transaction."""
    for name in TABLES:
        connection.execute(f"DROP {_kind_of(connection, name)} IF EXISTS {name}")
    for statement in own_statements():
        connection.execute(statement)


@contextmanager
def derived_again(connection: sqlite3.Connection, job_id: str) -> Iterator[None]:
    """Delete the rows of a job, which the block derives from its events; the costs stay as they are.

    They were computed with the prices at the time of the calls, and others may be in effect.
    """
    kept = []
    for table in map(table_of, ROWS):
        priced = [column.name for column in table.columns if column.is_by_prices]
        if priced:
            rows = connection.execute(
                f"SELECT {', '.join((*priced, table.key))} FROM {table.name} WHERE job_id = ?",
                (job_id,),
            ).fetchall()
            changes = ", ".join(f"{name} = ?" for name in priced)
            kept.append((f"UPDATE {table.name} SET {changes} WHERE {table.key} = ?", rows))
    for name in TABLES:
        connection.execute(f"DELETE FROM {name} WHERE job_id = ?", (job_id,))
    yield
    for statement, rows in kept:
        connection.executemany(statement, rows)


def render_statements() -> str:
    """The text of `schema.sql`, as the rows declare it."""
    from sqlite_utils import Database

    with closing(sqlite3.connect(":memory:")) as connection:
        # The tables of the read model refer to it.
        connection.execute("CREATE TABLE blobs (sha256 TEXT PRIMARY KEY)")
        database = Database(connection)
        for row_type in ROWS:
            table = table_of(row_type)
            _create(database, table)
            for statement in _indexes(table):
                connection.execute(statement)
        rows = connection.execute(
            "SELECT sql FROM sqlite_schema WHERE tbl_name <> 'blobs' AND sql IS NOT NULL"
        )
        return "".join(f"{sql}{STATEMENT_END}" for (sql,) in rows)


def _kind_of(connection: sqlite3.Connection, name: str) -> str:
    """What has the name: a table, or a view that another program has put there."""
    row = connection.execute(
        "SELECT type FROM sqlite_schema WHERE name = ? COLLATE NOCASE AND type = 'view'", (name,)
    ).fetchone()
    return "TABLE" if row is None else "VIEW"


def _create(database: Any, table: Table) -> None:
    links = [
        (column.name, *column.refers.split("."))
        for column in table.columns
        if column.refers is not None
    ]
    columns = {column.name: _PYTHON_TYPES[column.type] for column in table.columns}
    # Without NOT NULL and DEFAULT: only the projector writes rows, and tests check both.
    database[table.name].create(columns, pk=table.key, foreign_keys=links, strict=True)


def _indexes(table: Table) -> Iterator[str]:
    # Each index adds a page to every commit that changes it, so few columns have one.
    for column in table.columns:
        if column.is_indexed:
            condition = f" WHERE {column.name} IS NOT NULL" if column.is_sparse else ""
            yield _index(table, (column.name,)) + condition
    for names in table.indexes:
        yield _index(table, names)


def _index(table: Table, names: Sequence[str]) -> str:
    name = f"{table.name}_by_{'_'.join(names)}"
    return f"CREATE INDEX {name} ON {table.name} ({', '.join(names)})"

"""`orc export --table`: the rows of a table as CSV, JSON Lines or Parquet, with bounded memory."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from msgspec import Struct

from orc.projections.tables.columns import table_name
from orc.projections.tables.rows import ROWS

TABLE_FORMATS = ("csv", "jsonl", "parquet")
_ROWS_AT_ONCE = 5_000
_CHARS_AT_ONCE = 1_000_000
TABLES = tuple(table_name(row_type) for row_type in ROWS)
"""The names of the tables that can be exported."""


class TableRows(Struct, frozen=True):
    """A table's columns, with their types in SQL, and its rows in the order of the table."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


def read_rows_of(connection: sqlite3.Connection, name: str, job_id: str | None) -> TableRows:
    """The rows of a table, of one job or of all. Raises KeyError unless it is in TABLES."""
    if name not in TABLES:
        raise KeyError(name)
    facts = {row[1]: row[2] for row in connection.execute(f"PRAGMA table_info({name})")}
    where, values = ("", ()) if job_id is None else (" WHERE job_id = ?", (job_id,))
    # A step's rows have the job in their keys only if the table has no column for it.
    query = f"SELECT {', '.join(facts)} FROM {name}{where} ORDER BY rowid"
    return TableRows(tuple(facts), tuple(facts.values()), connection.execute(query, values))


def text_pieces(rows: TableRows, form: str) -> Iterator[str]:
    """The rows as CSV (RFC 4180) or as lines of JSON, piece by piece. NULL is empty, or null."""
    if form == "csv":
        yield _csv([rows.columns])
    for part in _parts(rows.rows):
        if form == "csv":
            yield _csv(part)
        else:
            yield "".join(
                json.dumps(dict(zip(rows.columns, row, strict=True))) + "\n" for row in part
            )


def parquet_maker(rows: TableRows) -> Callable[[Path], None]:
    """A function that writes the rows as Parquet. Raises ModuleNotFoundError without pyarrow."""
    arrow: Any = import_module("pyarrow")
    parquet: Any = import_module("pyarrow.parquet")
    kinds = {"INTEGER": arrow.int64(), "REAL": arrow.float64()}
    schema = arrow.schema(
        [
            (name, kinds.get(kind.upper(), arrow.string()))
            for name, kind in zip(rows.columns, rows.types, strict=True)
        ]
    )

    def write(path: Path) -> None:
        with parquet.ParquetWriter(path, schema) as writer:
            for part in _parts(rows.rows):
                columns = [list(column) for column in zip(*part, strict=True)]
                writer.write_table(
                    arrow.Table.from_arrays(
                        [
                            arrow.array(column, kind.type)
                            for column, kind in zip(columns, schema, strict=True)
                        ],
                        schema=schema,
                    )
                )

    return write


def text_maker(rows: TableRows, form: str) -> Callable[[Path], None]:
    """A function that writes the rows as CSV or lines of JSON."""

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            for piece in text_pieces(rows, form):
                file.write(piece)

    return write


def _parts(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """The rows in parts whose texts together are not long, so that wide rows need no more memory."""
    part: list[tuple[Any, ...]] = []
    chars = 0
    for row in rows:
        part.append(row)
        chars += sum(len(cell) for cell in row if isinstance(cell, str))
        if len(part) == _ROWS_AT_ONCE or chars >= _CHARS_AT_ONCE:
            yield part
            part, chars = [], 0
    if part:
        yield part


def _csv(rows: list[Any]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()

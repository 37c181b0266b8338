"""The types that declare tables, and the declarations of the ledger's own tables.

A declaration has a column's SQL properties and its documentation. The migrations in
`schema.py` create the ledger's own tables and never change; a test compares them with these
declarations. The read model's tables are created from their declarations
(`projections/tables/rows.py`). `table_frame` reads a table as a data frame.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, Literal

from msgspec import Struct

ColumnType = Literal["TEXT", "INTEGER", "REAL", "ANY"]

_UNITS = {
    "_at": "UTC",
    "_bytes": "bytes",
    "_nano_usd": "nano-dollars (billionths of a US dollar)",
    "_s": "seconds",
    "_tokens": "tokens",
    "_usd": "US dollars",
}
"""The unit of a column by the suffix of its name."""


class Column(Struct, frozen=True, kw_only=True):
    """A column. `refers` is the `table.column` that its values refer to."""

    name: str
    type: ColumnType
    meaning: str
    is_nullable: bool = False
    is_key: bool = False
    is_json: bool = False
    refers: str | None = None
    is_indexed: bool = False
    is_sparse: bool = False
    """Whether the index leaves out rows in which the column is NULL, to save pages."""
    start: Any = None
    """The value in a new row if the statement that inserts the row sets none."""
    is_by_prices: bool = False
    """Whether the value depends on the price table in effect, in addition to the events."""

    @property
    def unit(self) -> str | None:
        """The unit of the values; None for a count or a text."""
        return next((unit for end, unit in _UNITS.items() if self.name.endswith(end)), None)

    @property
    def description(self) -> str:
        """The meaning and the unit, in one line."""
        names_unit = self.unit is None or self.unit in self.meaning.lower()
        return self.meaning if names_unit else f"{self.meaning} In {self.unit}."


class Table(Struct, frozen=True):
    """A table. `title` is a heading; `about` describes a row in one or two sentences."""

    name: str
    title: str
    about: str
    columns: tuple[Column, ...]
    indexes: tuple[tuple[str, ...], ...] = ()
    """Indexes over more than one column."""

    @property
    def key(self) -> str:
        """The name of the primary key."""
        return next(column.name for column in self.columns if column.is_key)


LEDGER_TABLES = (
    Table(
        "events",
        "Events",
        "Everything that happened, append-only: one row for each event. The tables of the read "
        "model are derived from this one.",
        (
            Column(
                name="position",
                type="INTEGER",
                meaning="The event's number in the whole ledger, from 1.",
                is_key=True,
            ),
            Column(name="job_id", type="TEXT", meaning="The job whose stream the event is in."),
            Column(
                name="version", type="INTEGER", meaning="The event's number in its job, from 1."
            ),
            Column(
                name="type", type="TEXT", meaning="The type of the event, for example step.started."
            ),
            Column(
                name="step",
                type="TEXT",
                meaning="The id of the step that the event is about; NULL if it is about the job.",
                is_nullable=True,
            ),
            Column(
                name="attempt",
                type="INTEGER",
                meaning="The number of the step's attempt, from 1.",
                is_nullable=True,
            ),
            Column(name="recorded_at", type="TEXT", meaning="When the event was recorded."),
            Column(
                name="data", type="TEXT", meaning="The other fields of the event.", is_json=True
            ),
            Column(
                name="hash",
                type="TEXT",
                meaning="SHA-256 of the previous event's hash in the same job and of this row.",
            ),
        ),
    ),
    Table(
        "blobs",
        "Blobs",
        "Prompts, replies, outputs, logs and files above 1 kB: one row for each content, stored "
        "once under the SHA-256 of its bytes.",
        (
            Column(
                name="sha256",
                type="TEXT",
                meaning="The digest of the content, in hexadecimal.",
                is_key=True,
            ),
            Column(name="size_bytes", type="INTEGER", meaning="The length of the content."),
            Column(
                name="content",
                type="ANY",
                meaning="The content: text if it is UTF-8, otherwise bytes. Without bytes, but with a "
                "size, the content is in a file beside the ledger: runs.db.files/aa/SHA256, where aa "
                "are the first two digits. If the content was removed, an integer: the position of "
                "the blob.removed event.",
            ),
        ),
    ),
    Table(
        "signals",
        "Signals",
        "Requests from other processes to the owner of a job, append-only: one row for each.",
        (
            Column(
                name="id",
                type="INTEGER",
                meaning="The number of the signal, from 1.",
                is_key=True,
            ),
            Column(name="job_id", type="TEXT", meaning="The job that the signal is for."),
            Column(name="kind", type="TEXT", meaning="What is requested, for example cancel."),
            Column(name="data", type="TEXT", meaning="The details of the request.", is_json=True),
            Column(name="created_at", type="TEXT", meaning="When the signal was sent."),
        ),
    ),
    Table(
        "orc_meta",
        "Versions",
        "Facts about the file itself: one row for each.",
        (
            Column(
                name="key",
                type="TEXT",
                meaning="`read_model` holds the version of the derived tables; `imported:` and a job "
                "id says where that job was imported from.",
                is_key=True,
            ),
            Column(name="value", type="TEXT", meaning="The value."),
        ),
    ),
)


class NoDataFrames(ImportError):
    """Neither pandas nor polars is installed."""


def data_frame(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Any:
    """The rows as a data frame. Raises NoDataFrames."""
    found = [tuple(row) for row in rows]
    try:
        return import_module("pandas").DataFrame(found, columns=list(columns))
    except ModuleNotFoundError:
        pass
    try:
        frames = import_module("polars")
    except ModuleNotFoundError:
        raise NoDataFrames(
            "a data frame needs pandas or polars: install one, for example with "
            "`pip install pandas`"
        ) from None
    return frames.DataFrame(found, schema=list(columns), orient="row", infer_schema_length=None)


def table_frame(connection: sqlite3.Connection, name: str, job_id: str | None) -> Any:
    """A table as a data frame, in the order of its rows. Raises KeyError if there is no such table."""
    names = [
        row[0]
        for row in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
        )
    ]
    if name not in names:
        raise KeyError(f"the ledger has no table {name!r}; it has {', '.join(names)}")
    where = "" if job_id is None else "WHERE job_id = :job"
    query = f'SELECT * FROM "{name}" {where} ORDER BY rowid'
    cursor = connection.execute(query, {"job": job_id})
    return data_frame([column[0] for column in cursor.description], cursor)

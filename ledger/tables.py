"""The types that declare tables, and the declarations of the ledger's own tables.

A declaration has a column's SQL properties and its documentation. The migrations in
`schema.py` create the ledger's own tables and never change; a test compares them with these
declarations. The read model's tables are created from their declarations
(`projections/tables/rows.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
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
        is_told = self.unit is None or self.unit in self.meaning.lower()
        return self.meaning if is_told else f"{self.meaning} In {self.unit}."


@dataclass(frozen=True, slots=True)
class Table:
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

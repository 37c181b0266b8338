"""Datasette's metadata of a ledger's tables.

The titles and descriptions come from the declarations of the tables; orders, facets and labels are
set here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from orc.ledger.tables import LEDGER_TABLES, Table
from orc.projections.tables.columns import table_of
from orc.projections.tables.rows import ROWS

_HIDDEN = ("orc_meta", "sqlite_sequence")

SHOWN: dict[str, dict[str, Any]] = {
    "jobs": {
        "sort_desc": "position",
        "label_column": "name",
        "facets": ["status", "provider", "model", {"date": "submitted_at"}],
    },
    "steps": {
        "sort_desc": "started_at",
        "label_column": "name",
        "facets": ["status", "kind", "provider", "model", "failure_kind"],
    },
    "attempts": {
        "sort_desc": "started_at",
        "label_column": "name",
        "facets": ["status", "failure_kind"],
    },
    "llm_calls": {
        "sort_desc": "requested_at",
        "label_column": "name",
        "facets": [
            "status",
            "in_doubt",
            "provider",
            "model",
            "finish_reason",
            "failure_kind",
            {"date": "requested_at"},
        ],
    },
    "tool_calls": {
        "sort_desc": "called_at",
        "label_column": "name",
        "facets": ["tool", "status"],
    },
    "circuits": {
        "sort_desc": "opened_at",
        "label_column": "name",
        "facets": ["status", "failure_kind"],
    },
    "batches": {
        "sort_desc": "submitted_at",
        "label_column": "name",
        "facets": ["status", "provider", "model"],
    },
    "scores": {
        "sort_desc": "recorded_at",
        "label_column": "name",
        "facets": ["name", "who", "passed", "model"],
    },
    "tags": {
        "sort_desc": "tagged_at",
        "label_column": "name",
        "facets": ["name"],
    },
    "notes": {
        "sort_desc": "noted_at",
        "label_column": "name",
        "facets": ["by_person"],
    },
    "files": {
        "sort_desc": "written_at",
        "label_column": "name",
        "facets": ["media_type"],
    },
    "tolerated_failures": {
        "sort_desc": "recorded_at",
        "label_column": "name",
        "facets": ["setting", "kind"],
    },
    "events": {"sort_desc": "position"},
    "blobs": {},
    "signals": {"sort_desc": "id"},
}
"""The order, label and facets of each table that is shown."""


def ledger_metadata() -> dict[str, Any]:
    """Datasette's metadata for one ledger. Datasette changes the value, so each call makes one."""
    tables = {table.name: _describe(table, columns) for table, columns in _declared()}
    tables |= {name: {"hidden": True} for name in _HIDDEN}
    return {
        "description": "A ledger of orc. Start with the jobs, or with one of the queries.",
        "tables": tables,
    }


@cache
def _declared() -> tuple[tuple[Table, Mapping[str, str]], ...]:
    """The tables that are shown, with the descriptions of their columns.

    Datasette asks for the metadata several times in a request.
    """
    declared = (*map(table_of, ROWS), *LEDGER_TABLES)
    return tuple(
        (table, {column.name: _plain(column.description) for column in table.columns})
        for table in declared
        if table.name in SHOWN
    )


def _describe(table: Table, columns: Mapping[str, str]) -> dict[str, Any]:
    shown = {
        key: list(value) if isinstance(value, list) else value
        for key, value in SHOWN[table.name].items()
    }
    order = " Latest first." if "sort_desc" in shown else ""
    return {
        "title": table.title,
        "description": _plain(table.about) + order,
        "columns": dict(columns),
        **shown,
    }


def _plain(text: str) -> str:
    """The text with apostrophes for backticks, which Datasette would show as they are."""
    return text.replace("`", "'")

"""Parts about tables: those of the read model, and those of the ledger."""

from __future__ import annotations

from typing import Any

from doc_parts.markup import table as markdown_table


def render_read_model() -> str:
    """Every table of the read model with its columns."""
    from orc.projections.tables.columns import table_of
    from orc.projections.tables.rows import ROWS

    return "\n\n".join(_described_table(table_of(row_type)) for row_type in ROWS)


def render_ledger_tables() -> str:
    """Every table of the ledger itself with its columns."""
    from orc.ledger.tables import LEDGER_TABLES

    return "\n\n".join(map(_described_table, LEDGER_TABLES))


def _described_table(table: Any) -> str:
    rows = []
    for column in table.columns:
        kind = {"TEXT": "text", "INTEGER": "integer", "REAL": "number", "ANY": "any"}[column.type]
        kind = f"{kind} (JSON)" if column.is_json else kind
        kind = f"{kind} or NULL" if column.is_nullable and not column.is_key else kind
        key = "Primary key. " if column.is_key else ""
        link = "" if column.refers is None else f" Refers to `{column.refers}`."
        meaning = f"{key}{column.meaning}{link}"
        rows.append((f"`{column.name}`", kind, column.unit or "", meaning))
    body = markdown_table(("column", "type", "unit", "meaning"), rows)
    return f"### {table.name}\n\n{table.about}\n\n{body}"

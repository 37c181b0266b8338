"""How the rows of the read model declare their tables: a field is a column, a class is a table."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, ClassVar, Protocol

from orc.ledger.tables import Column, ColumnType, Table

_TYPES: dict[str, ColumnType] = {"str": "TEXT", "int": "INTEGER", "float": "REAL"}
_META = "column"


@dataclass(frozen=True, slots=True)
class TableInfo:
    """What a class of rows says of its table; see `Table`."""

    name: str
    title: str
    about: str
    indexes: tuple[tuple[str, ...], ...] = ()


class Row(Protocol):
    """A frozen dataclass whose fields were made by `column`, in the order of the table."""

    TABLE: ClassVar[TableInfo]
    __dataclass_fields__: ClassVar[dict[str, Any]]


def column(
    meaning: str,
    *,
    key: bool = False,
    refers: str | None = None,
    start: str | int | None = None,
    indexed: bool = False,
    sparse: bool = False,
    by_prices: bool = False,
) -> Any:
    """A field that is a column; its annotation has the type, and whether it may be NULL.

    See `Column` for the arguments.
    """
    stated = {
        "meaning": meaning,
        "is_key": key,
        "refers": refers,
        "start": start,
        "is_indexed": indexed,
        "is_sparse": sparse,
        "is_by_prices": by_prices,
    }
    return field(metadata={_META: stated})


@cache
def table_of(row_type: type[Row]) -> Table:
    """The table that a class of rows declares."""
    info = row_type.TABLE
    columns = []
    for each in fields(row_type):
        name, _, none = str(each.type).partition(" | ")
        columns.append(
            Column(
                name=each.name,
                type=_TYPES[name],
                is_nullable=none == "None",
                **each.metadata[_META],
            )
        )
    return Table(info.name, info.title, info.about, tuple(columns), info.indexes)

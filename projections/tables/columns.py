"""How `rows.py` declares the read model: each class is a table, each field a column."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, ClassVar, Protocol

from orc.ledger.tables import Column, ColumnType, Table

_TYPES: dict[str, ColumnType] = {"str": "TEXT", "int": "INTEGER", "float": "REAL"}
_META = "column"


@dataclass(frozen=True, slots=True)
class TableInfo:
    """The parts of a `Table` that are not columns."""

    name: str
    title: str
    about: str
    indexes: tuple[tuple[str, ...], ...] = ()


class Row(Protocol):
    """A frozen dataclass with a field, made by `column`, for each column of its table, in order."""

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
    """A field that declares a column; its annotation gives the type and whether it may be NULL.

    The arguments are described at `Column`.
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
    """The table that a row class declares."""
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

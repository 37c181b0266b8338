"""How `rows.py` declares the read model: each class is a table, each field a column.

The classes are named tuples with evaluated annotations (the modules have no
`from __future__ import annotations`): every short command builds them, and so they take a fifth of
the time of dataclasses.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from orc.ledger.tables import ColumnType, Table

_Class = TypeVar("_Class", bound=type)

_TYPES: dict[str, ColumnType] = {"str": "TEXT", "int": "INTEGER", "float": "REAL"}


class TableInfo(NamedTuple):
    """The parts of a `Table` that are not columns."""

    name: str
    title: str
    about: str
    indexes: tuple[tuple[str, ...], ...]


class Stated(NamedTuple):
    """The properties of a `Column` that `column` states."""

    meaning: str
    is_key: bool
    refers: str | None
    start: str | int | None
    is_indexed: bool
    is_sparse: bool
    is_by_prices: bool


Row = NamedTuple
"""A named tuple with a field, annotated with `column`, for each column of its table, in order."""


_infos: dict[type, TableInfo] = {}


def table(
    name: str, title: str, about: str, indexes: tuple[tuple[str, ...], ...] = ()
) -> Callable[[_Class], _Class]:
    """Declares that a class is this table. The arguments are described at `Table`."""

    def declare(row_type: _Class) -> _Class:
        _infos[row_type] = TableInfo(name, title, about, indexes)
        return row_type

    return declare


def column(
    meaning: str,
    *,
    key: bool = False,
    refers: str | None = None,
    start: str | int | None = None,
    indexed: bool = False,
    sparse: bool = False,
    by_prices: bool = False,
) -> Stated:
    """A column, in `Annotated` with the type, which also says whether it may be NULL.

    The arguments are described at `Column`.
    """
    return Stated(meaning, key, refers, start, indexed, sparse, by_prices)


def table_name(row_type: type[Row]) -> str:
    """The name of the table that a row class declares."""
    return _infos[row_type].name


@cache
def table_of(row_type: type[Row]) -> Table:
    """The table that a row class declares."""
    # Imported here, since queries need only the names of the columns.
    from orc.ledger.tables import Column, Table

    info = _infos[row_type]
    columns = []
    for name in row_type._fields:
        hint: Any = row_type.__annotations__[name]
        (stated,) = hint.__metadata__
        kind = getattr(hint.__origin__, "__name__", str(hint.__origin__))
        kind, _, none = kind.partition(" | ")
        columns.append(
            Column(name=name, type=_TYPES[kind], is_nullable=none == "None", **stated._asdict())
        )
    return Table(info.name, info.title, info.about, tuple(columns), info.indexes)

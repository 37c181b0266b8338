"""Statements of the read model, made from the declared columns and bound by name.

A handler gives a statement its values by the names of the columns (`writer.add`). `Insert`
and `Update` need no list of columns: they write those that the handler names. A statement
with conditions of its own is text in which `:name` stands for a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from orc.ledger.tables import Table
from orc.projections.tables.columns import Row, table_of

_NAMED = re.compile(r":(\w+)")

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Insert:
    """Adds a row: the columns that the handler names, and for others the value of a new row.

    `fixed` are values that are the same for every row, `computed` expressions of SQL. With
    `on_conflict` a row that is there takes the columns that the handler names, but for those
    that `on_conflict` has an expression for; and it does so only where `only_if` holds.
    """

    row_type: type[Row]
    fixed: Values = field(default_factory=dict)
    computed: Mapping[str, str] = field(default_factory=dict)
    on_conflict: Mapping[str, str] | None = None
    only_if: str | None = None

    def text(self, given: Iterable[str]) -> str:
        """The statement for a handler that gives these names. Raises ValueError for an unknown one."""
        table = table_of(self.row_type)
        start = {c.name: c.start for c in table.columns if c.start is not None}
        values = {name: literal(value) for name, value in {**start, **self.fixed}.items()}
        values |= {**{name: f":{name}" for name in given}, **self.computed}
        _check_names(table, values)
        text = (
            f"INSERT INTO {table.name} ({', '.join(values)}) VALUES ({', '.join(values.values())})"
        )
        if self.on_conflict is None:
            return text
        changed = {name: f"excluded.{name}" for name in given if name != table.key}
        changed |= self.on_conflict
        text += f" ON CONFLICT ({table.key}) DO UPDATE SET {_assignments(changed)}"
        return text if self.only_if is None else f"{text} WHERE {self.only_if}"


@dataclass(frozen=True, slots=True)
class Update:
    """Changes the row that the handler names by its key: the other columns that it names.

    `fixed` and `computed` are as in `Insert`; a name that `computed` uses is a value for it.
    """

    row_type: type[Row]
    fixed: Values = field(default_factory=dict)
    computed: Mapping[str, str] = field(default_factory=dict)

    def text(self, given: Iterable[str]) -> str:
        """The statement for a handler that gives these names. Raises ValueError for an unknown one."""
        table = table_of(self.row_type)
        used = {name for text in self.computed.values() for name in _NAMED.findall(text)}
        changed = {name: literal(value) for name, value in self.fixed.items()}
        changed |= {name: f":{name}" for name in given if name not in used | {table.key}}
        changed |= self.computed
        _check_names(table, changed)
        return f"UPDATE {table.name} SET {_assignments(changed)} WHERE {table.key} = :{table.key}"


Statement = Insert | Update | str


@dataclass(frozen=True, slots=True)
class Bound:
    """A statement as SQLite gets it: `values` makes the values of a row from what is given."""

    sql: str
    size: int
    values: Callable[[Values], Any]


def bind(statement: Statement, given: Values) -> Bound:
    """The statement for rows that have the names of `given`.

    Raises ValueError for a name that the statement has no use for, or that it misses.
    """
    text = statement if isinstance(statement, str) else statement.text(given)
    names = _NAMED.findall(text)
    if set(names) != set(given):
        raise ValueError(f"it takes {sorted(set(names))}, and is given {sorted(given)}: {text}")
    # By place from here on, which is faster than having SQLite look up each name.
    values = itemgetter(*names) if len(names) > 1 else lambda row: (row[names[0]],)
    return Bound(_NAMED.sub("?", text), len(given), values)


def literal(value: object) -> str:
    """A constant of ours in SQL."""
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def _assignments(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _check_names(table: Table, names: Iterable[str]) -> None:
    unknown = set(names) - {column.name for column in table.columns}
    if unknown:
        raise ValueError(f"the table {table.name} has no column {', '.join(sorted(unknown))}")

"""Makes SQL statements from the declared columns, and binds the values of handlers by name.

A handler passes the values of a row by column name (`writer.add`). `Insert` and `Update` write the
columns that the handler names. Any other statement is SQL text in which `:name` is a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

from msgspec import Struct, field

from orc.ledger.tables import Table
from orc.projections.tables.columns import Row, table_of

_NAMED = re.compile(r":(\w+)")

Values = Mapping[str, Any]


class Insert(Struct, frozen=True):
    """Inserts a row: the columns that the handler names, and the `start` values of other columns.

    `fixed` has constant values, `computed` SQL expressions. With `on_conflict`, a row with the same
    key is updated: it takes the columns that the handler names, except that `on_conflict` gives an
    SQL expression for some columns. `only_if` is an SQL condition for this update.
    """

    row_type: type[Row]
    fixed: Values = field(default_factory=dict)
    computed: Mapping[str, str] = field(default_factory=dict)
    on_conflict: Mapping[str, str] | None = None
    only_if: str | None = None

    def text(self, given: Iterable[str]) -> str:
        """The SQL for a handler that names the columns in `given`. Raises ValueError for other names."""
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


class Update(Struct, frozen=True):
    """Updates one row: the handler passes its key and the columns to change.

    `fixed` and `computed` are as in `Insert`. A name that occurs in `computed` is a value of that
    expression, and not a column to change.
    """

    row_type: type[Row]
    fixed: Values = field(default_factory=dict)
    computed: Mapping[str, str] = field(default_factory=dict)

    def text(self, given: Iterable[str]) -> str:
        """The SQL for a handler that names the columns in `given`. Raises ValueError for other names."""
        table = table_of(self.row_type)
        used = {name for text in self.computed.values() for name in _NAMED.findall(text)}
        changed = {name: literal(value) for name, value in self.fixed.items()}
        changed |= {name: f":{name}" for name in given if name not in used | {table.key}}
        changed |= self.computed
        _check_names(table, changed)
        return f"UPDATE {table.name} SET {_assignments(changed)} WHERE {table.key} = :{table.key}"


Statement = Insert | Update | str


class Bound(Struct, frozen=True):
    """A statement with `?` parameters; `values` gives their values, in order, from named values."""

    sql: str
    size: int
    values: Callable[[Values], Any]


def bind(statement: Statement, given: Values) -> Bound:
    """Bind the statement to rows that have the same names as `given`.

    Raises ValueError if the names are not exactly those that the statement uses.
    """
    text = statement if isinstance(statement, str) else statement.text(given)
    names = _NAMED.findall(text)
    if set(names) != set(given):
        raise ValueError(f"expected values for {sorted(set(names))}, got {sorted(given)}: {text}")
    # SQLite binds values by position faster than by name.
    values = itemgetter(*names) if len(names) > 1 else lambda row: (row[names[0]],)
    return Bound(_NAMED.sub("?", text), len(given), values)


def literal(value: object) -> str:
    """A constant as an SQL literal. Not for values that come from outside."""
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def _assignments(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _check_names(table: Table, names: Iterable[str]) -> None:
    unknown = set(names) - {column.name for column in table.columns}
    if unknown:
        raise ValueError(f"the table {table.name} has no column {', '.join(sorted(unknown))}")

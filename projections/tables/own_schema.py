"""Whether the tables in a ledger are those that orc creates, so that they can be read.

A ledger may come from another person, who can put a view without end in place of a table. Imports
nothing that loads slowly: every command that reads tables checks them.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from orc.ledger.command_lines import quoted_command
from orc.ledger.errors import CorruptLedger
from orc.ledger.schema_check import Schema, schema_made_by, schema_of
from orc.projections.tables.version import VERSION, read_version

STATEMENTS = Path(__file__).with_name("schema.sql")
"""The statements that create the tables and indexes; `schema.py` makes them from the rows."""
STATEMENT_END = ";\n"

_QUOTED_NAME = r'"(\w+)"|\[(\w+)\]'
_ODD = r"\b(AS|CHECK|COLLATE|GENERATED|VIRTUAL|VIEW)\b"


def check_own_tables(connection: sqlite3.Connection) -> None:
    """Raise CorruptLedger if the tables are not those that orc creates.

    Tables of another version are not compared, but are tables without computed columns.
    """
    problem = own_tables_problem(connection)
    if problem is not None:
        raise CorruptLedger(
            f"{problem}: another program has changed the tables; "
            f"{quoted_command('rebuild')} derives them from the "
            "events again"
        )


def own_tables_problem(connection: sqlite3.Connection) -> str | None:
    """The first difference of the tables from those that orc creates; None if there is none."""
    found = tables_in(schema_of(connection))
    if read_version(connection) == VERSION:
        expected = own_schema()
        if found == expected:
            return None
        plain = _without_quotes(found), _without_quotes(expected)
        return next(_differences(*plain), None)
    for (kind, name), (_, sql) in _without_quotes(found).items():
        if kind not in ("table", "index") or re.search(_ODD, sql, re.IGNORECASE):
            return f"the {kind} {name} is not a table of orc"
    return None


def tables_in(schema: Schema) -> Schema:
    """What has the name of a table of the read model, or belongs to one."""
    names = {name for kind, name in own_schema() if kind == "table"}
    return {
        (kind, name): (table, sql)
        for (kind, name), (table, sql) in schema.items()
        if kind != "trigger" and (table.lower() in names or name.lower() in names)
    }


def _differences(found: Schema, expected: Schema) -> Iterator[str]:
    for (kind, name), entry in expected.items():
        other = next((there for there, named in found if named == name and there != kind), None)
        if other is not None:
            yield f"the {kind} {name} is missing: a {other} has its name"
        elif (kind, name) not in found:
            yield f"the {kind} {name} is missing"
        elif found[kind, name] != entry:
            yield f"the {kind} {name} was changed"
    for kind, name in found.keys() - expected.keys():
        yield f"the {kind} {ascii(name)[1:-1]} does not belong to orc"


@cache
def own_schema() -> Schema:
    """The tables and indexes that orc creates."""
    return schema_made_by(own_statements())


@cache
def own_statements() -> tuple[str, ...]:
    """The statements that create them."""
    return tuple(filter(None, STATEMENTS.read_text("utf-8").split(STATEMENT_END)))


def _without_quotes(schema: Schema) -> Schema:
    """The schema without quotes around plain names, which versions of sqlite-utils write differently."""
    return {
        key: (table, re.sub(_QUOTED_NAME, r"\1\2", sql)) for key, (table, sql) in schema.items()
    }

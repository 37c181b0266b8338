"""Whether the tables in a ledger are those that orc creates, so that they can be read.

A ledger may come from another person, who can put a view without end in place of a table. Imports
nothing that loads slowly: every command that reads tables checks them.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache

from orc.ledger.command_lines import quoted_command
from orc.ledger.errors import CorruptLedger
from orc.ledger.schema_check import Schema, digest_of, schema_of
from orc.projections.tables.version import VERSION, read_version

DIGEST = "37acde1498eae4bc8a1b4c474f18a9872d0585f4ebdac30f69d96890e4a6a604"
"""`digest_of` the tables and indexes of this version; a test compares it with `create_tables`."""

NAMES = frozenset(
    "attempts batches circuits files jobs llm_calls notes scores steps tags tolerated_failures "
    "tool_calls".split()
)
"""The names of the tables; a test compares them with those in `rows.py`, which loads slowly."""

_QUOTED_NAME = re.compile(r'"(\w+)"|\[(\w+)\]')
_ODD = re.compile(r"\b(AS|CHECK|COLLATE|GENERATED|VIRTUAL|VIEW)\b", re.IGNORECASE)


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
        if digest_of(found) == DIGEST:
            return None
        return next(_differences(found, _expected()), None)
    for (kind, name), (_, sql) in found.items():
        if kind not in ("table", "index") or _ODD.search(_without_names(sql)):
            return f"the {kind} {name} is not a table of orc"
    return None


def tables_in(schema: Schema) -> Schema:
    """What has the name of a table of the read model, or belongs to one."""
    return {
        (kind, name): (table, _without_names(sql))
        for (kind, name), (table, sql) in schema.items()
        if kind != "trigger" and {table.lower(), name.lower()} & NAMES
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


@lru_cache(maxsize=1)
def _expected() -> Schema:
    from orc.ledger.schema import migrate
    from orc.projections.tables.schema import create_tables

    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        fresh.execute("BEGIN")
        migrate(fresh)
        create_tables(fresh)
        return tables_in(schema_of(fresh))


def _without_names(sql: str) -> str:
    """The SQL without quotes around plain names, which versions of sqlite-utils write differently."""
    return _QUOTED_NAME.sub(r"\1\2", sql)

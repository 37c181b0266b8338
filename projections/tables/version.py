"""The version of the read model. In a module of its own, since commands check it at each start."""

from __future__ import annotations

import sqlite3

from orc.ledger.schema import parse_version

VERSION = 15
"""Raise it with every change of the tables, or of the rows that are derived from the same events.

A ledger with tables of another version gets new ones, derived from its events.
"""


def has_older_tables(connection: sqlite3.Connection) -> bool:
    """Whether the ledger's tables are those of an older version, so that they must be rebuilt."""
    version = read_version(connection)
    return version is not None and version < VERSION


def read_version(connection: sqlite3.Connection) -> int | None:
    """The version of the ledger's tables; None if it has none. Raises CorruptLedger."""
    row = connection.execute("SELECT value FROM orc_meta WHERE key = 'read_model'").fetchone()
    return None if row is None else parse_version(row[0])

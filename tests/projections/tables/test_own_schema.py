"""The tables in a ledger are compared with those that orc creates."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orc.ledger import LedgerReader, open_ledger
from orc.ledger.errors import CorruptLedger
from orc.ledger.schema_check import schema_of
from orc.ledger.secrets.masking import NO_MASK
from orc.projections import ReadModel
from orc.projections.tables import own_schema
from orc.projections.tables.own_schema import check_own_tables


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    open_ledger(tmp_path / "runs.db", projector=ReadModel(), mask=NO_MASK).close()
    with closing(sqlite3.connect(tmp_path / "runs.db", isolation_level=None)) as opened:
        yield opened


def test_the_own_schema_is_what_sqlite_has_after_the_statements(
    connection: sqlite3.Connection,
) -> None:
    assert own_schema.tables_in(schema_of(connection)) == own_schema.own_schema()
    check_own_tables(connection)


def test_quotes_around_names_make_no_difference(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_schema SET sql = replace(sql, '\"job_id\"', '[job_id]') WHERE name = 'jobs'"
    )
    check_own_tables(connection)


@pytest.mark.parametrize(
    ("statements", "problem"),
    [
        (["DROP TABLE circuits"], "the table circuits is missing"),
        (
            ["DROP TABLE circuits", "CREATE VIEW circuits AS SELECT 1"],
            "the table circuits is missing: a view has its name",
        ),
        (["CREATE INDEX other ON jobs (hex(name))"], "the index other does not belong to orc"),
        (["ALTER TABLE jobs ADD COLUMN more TEXT"], "the table jobs was changed"),
    ],
)
@pytest.mark.parametrize("version", [None, "99"])
def test_changed_tables_are_refused_and_a_rebuild_mends_them(
    connection: sqlite3.Connection,
    tmp_path: Path,
    statements: list[str],
    problem: str,
    version: str | None,
) -> None:
    for statement in statements:
        connection.execute(statement)
    if version is None:
        with pytest.raises(CorruptLedger, match=f"{problem}.*`orc rebuild` derives .* again"):
            check_own_tables(connection)
    elif "VIEW" in statements[-1]:
        # A version that a newer orc would write: only what could run for ever is refused.
        connection.execute("UPDATE orc_meta SET value = ?", (version,))
        with pytest.raises(CorruptLedger, match="is not a table of orc"):
            check_own_tables(connection)
    else:
        connection.execute("UPDATE orc_meta SET value = ?", (version,))
        check_own_tables(connection)
    with open_ledger(tmp_path / "runs.db", projector=ReadModel(), mask=NO_MASK) as ledger:
        ledger.rebuild()
    with LedgerReader.open(tmp_path / "runs.db") as ledger:
        check_own_tables(ledger.connection)

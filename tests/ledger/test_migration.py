"""A recorded ledger with the first schema: the current code reads and migrates it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orc.ledger import LedgerReader
from orc.ledger.integrity import blobs_of, check_blobs, check_structure, walk_chain
from orc.ledger.removal import remove_blobs
from tests.ledger.support import AT, open_at, rows

RECORDED = Path(__file__).parents[1] / "histories" / "schema_1.sql"
JOB = "job_000000000001"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "runs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(RECORDED.read_text("utf-8"))
    return path


def _problems(path: Path) -> list[str]:
    with LedgerReader.open(path, checked=False) as ledger:
        links = [link.problem for link in walk_chain(ledger.connection, JOB) if link.problem]
        blobs = check_blobs(ledger.connection, JOB, checked=set(), files=ledger.files)
        return [*check_structure(ledger.connection), *links, *blobs]


def test_an_old_ledger_is_read_and_verified_without_migration(old: Path) -> None:
    before = rows(old, "SELECT * FROM events ORDER BY position")
    assert len(before) == 10
    assert _problems(old) == []
    with LedgerReader.open(old) as ledger:
        assert [recorded.version for recorded in ledger.read_stream(JOB)] == list(range(1, 11))
    assert rows(old, "PRAGMA user_version") == [(1,)]


def test_a_migrated_ledger_keeps_every_row_and_allows_removal(old: Path) -> None:
    tables = ("events", "blobs", "signals")
    before = [rows(old, f"SELECT * FROM {table}") for table in tables]
    with open_at(old) as ledger:
        assert [rows(old, f"SELECT * FROM {table}") for table in tables] == before
        named = {d for r in before[0] for d in blobs_of(str(r[7]).encode())}
        assert remove_blobs(ledger, {JOB: named}, cause="prune", at=AT) == len(named) > 2
    assert rows(old, "PRAGMA user_version") == [(2,)]
    assert _problems(old) == []


def test_a_missing_changed_or_foreign_trigger_is_reported(old: Path) -> None:
    open_at(old).close()
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript(
            "DROP TRIGGER events_no_delete; DROP TRIGGER blobs_no_update;"
            "CREATE TRIGGER blobs_no_update BEFORE UPDATE ON blobs BEGIN SELECT 1; END;"
            "CREATE TRIGGER other AFTER INSERT ON events BEGIN SELECT 1; END;"
        )
    assert _problems(old) == [
        "the trigger events_no_delete is missing",
        "the trigger blobs_no_update was changed",
        "the trigger other does not belong to orc; drop it",
    ]

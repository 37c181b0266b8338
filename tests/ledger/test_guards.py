"""The triggers of the tables, which also guard against other programs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from orc.ledger.digest import digest_bytes
from tests.ledger.support import AT, JOB, open_at, raw, started, submitted

ONE, TWO = digest_bytes(b"one"), digest_bytes(b"two")


@pytest.fixture(params=[True, False], ids=["recursive_triggers", "no_recursive_triggers"])
def foreign(
    tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[sqlite3.Connection, list[tuple[object, ...]]]]:
    """Another program's connection to a ledger with content, and the rows of the tables."""
    path = tmp_path / "runs.db"
    with open_at(path) as ledger:
        ledger.append([submitted(), started(2)], blobs=[b"one", b"two"])
        ledger.send_signal(JOB, kind="cancel", data={}, created_at=AT)
    connection = raw(path, recursive_triggers=request.param)
    before = everything(connection)
    yield connection, before
    assert everything(connection) == before
    connection.close()


def everything(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    return [
        row
        for table in ("events", "blobs", "signals")
        for row in connection.execute(f"SELECT rowid, * FROM {table} ORDER BY rowid")
    ]


_EVENT = "(position, job_id, version, type, recorded_at, data, hash)"
_VALUES = f"'{JOB}', {{version}}, 'job.started', '{AT}', '{{{{}}}}', '{'0' * 64}'"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET data = '{}'",
        "UPDATE events SET recorded_at = recorded_at",
        "UPDATE OR REPLACE events SET version = 1 WHERE version = 2",
        "UPDATE OR REPLACE events SET position = 1 WHERE position = 2",
        "UPDATE OR IGNORE events SET data = '{}'",
        "DELETE FROM events",
        "DELETE FROM events WHERE version = 2",
        "UPDATE blobs SET content = 'x'",
        f"UPDATE OR REPLACE blobs SET sha256 = '{ONE}' WHERE sha256 = '{TWO}'",
        "UPDATE OR REPLACE blobs SET rowid = 1 WHERE rowid = 2",
        "DELETE FROM blobs",
        "UPDATE signals SET kind = 'approve'",
        "DELETE FROM signals",
        "INSERT OR REPLACE INTO signals VALUES (1, 'j', 'approve', '{}', '')",
    ],
)
def test_nothing_stored_can_be_changed_or_removed(
    foreign: tuple[sqlite3.Connection, object], statement: str
) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        foreign[0].execute(statement)


@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE", "REPLACE"])
@pytest.mark.parametrize("version", [0, 1, 2, 4])
def test_only_the_next_version_of_a_stream_can_be_inserted(
    foreign: tuple[sqlite3.Connection, object], verb: str, version: int
) -> None:
    values = _VALUES.format(version=version)
    with pytest.raises(sqlite3.IntegrityError):
        foreign[0].execute(f"{verb} INTO events {_EVENT} VALUES (NULL, {values})")


@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE", "REPLACE"])
def test_no_event_takes_the_position_of_another(
    foreign: tuple[sqlite3.Connection, object], verb: str
) -> None:
    values = _VALUES.format(version=3)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        foreign[0].execute(f"{verb} INTO events {_EVENT} VALUES (1, {values})")


def test_an_upsert_cannot_change_an_event(foreign: tuple[sqlite3.Connection, object]) -> None:
    values = _VALUES.format(version=2)
    with pytest.raises(sqlite3.IntegrityError):
        foreign[0].execute(
            f"INSERT INTO events {_EVENT} VALUES (NULL, {values}) "
            "ON CONFLICT DO UPDATE SET data = '{}'"
        )


@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE", "REPLACE"])
def test_a_blob_is_never_replaced_under_its_digest(
    foreign: tuple[sqlite3.Connection, object], verb: str
) -> None:
    foreign[0].execute(f"{verb} INTO blobs VALUES ('{ONE}', 5, 'other')")


@pytest.mark.parametrize("verb", ["INSERT OR REPLACE", "REPLACE"])
def test_a_blob_is_never_replaced_by_its_row_number(
    foreign: tuple[sqlite3.Connection, object], verb: str
) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        foreign[0].execute(
            f"{verb} INTO blobs (rowid, sha256, size_bytes, content) "
            f"VALUES (1, '{digest_bytes(b'three')}', 5, 'three')"
        )


@pytest.mark.parametrize(
    "statement",
    [
        f"INSERT INTO events {_EVENT} VALUES (NULL, '{JOB}', 'three', 'x', '', '', '{'0' * 64}')",
        f"INSERT INTO events {_EVENT} VALUES (NULL, '{JOB}', 3, NULL, '', '', '{'0' * 64}')",
        f"INSERT INTO events {_EVENT} VALUES (NULL, '{JOB}', 3, 'x', '', '', 'short')",
        f"INSERT INTO events {_EVENT} VALUES (NULL, '{JOB}', 3, 'x', '', x'00', '{'0' * 64}')",
        "INSERT INTO blobs VALUES ('short', 5, 'x')",
        f"INSERT INTO blobs VALUES ('{'0' * 64}', 'five', 'x')",
        "INSERT INTO signals (job_id, kind, data, created_at) VALUES ('j', x'00', '', '')",
    ],
)
def test_a_value_of_the_wrong_type_or_shape_is_refused(
    foreign: tuple[sqlite3.Connection, object], statement: str
) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        foreign[0].execute(statement)


def test_every_table_of_the_ledger_is_strict(tmp_path: Path) -> None:
    open_at(tmp_path / "runs.db").close()
    connection = raw(tmp_path / "runs.db")
    strict = {row[1]: row[5] for row in connection.execute("PRAGMA table_list")}
    connection.close()
    own = {name: strict[name] for name in ("events", "blobs", "signals", "orc_meta")}
    assert own == dict.fromkeys(own, 1)


def test_the_next_event_of_a_stream_can_be_inserted_by_any_program(tmp_path: Path) -> None:
    """The triggers use no functions of orc, so Datasette and the SQLite shell can open the file."""
    path = tmp_path / "runs.db"
    with open_at(path) as ledger:
        ledger.append([submitted()])
    connection = raw(path)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute(f"INSERT INTO events {_EVENT} VALUES (NULL, {_VALUES.format(version=2)})")
    assert connection.execute("SELECT max(position) FROM events").fetchone() == (2,)
    connection.close()

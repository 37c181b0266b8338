"""Opening a ledger: modes, settings, refusals, migrations, and readers."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from orc.ledger import LedgerReader, connect_reader, schema
from orc.ledger.connection import connect_writer
from orc.ledger.errors import (
    LedgerError,
    LedgerTooNew,
    NoFolder,
    NoLedger,
    NotALedger,
    StorageError,
)
from tests.ledger.support import JOB, Tally, open_at, raw, rows, started, submitted


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_ledger_is_private_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    before = os.umask(0)
    try:
        with open_at(path) as ledger:
            ledger.append([submitted()])
            modes = {entry.name: mode_of(entry) for entry in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {
        "runs.db": 0o600,
        "runs.db-wal": 0o600,
        "runs.db-shm": 0o600,
        "runs.db.locks": 0o700,
    }
    assert mode_of(tmp_path / "runs.db.locks" / "writer") == 0o600


def test_a_writer_has_the_settings_for_durable_commits(tmp_path: Path) -> None:
    with open_at(tmp_path / "runs.db") as ledger:
        found = {
            name: ledger.connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in (
                "journal_mode",
                "synchronous",
                "foreign_keys",
                "recursive_triggers",
                "trusted_schema",
                "busy_timeout",
                "mmap_size",
                "wal_autocheckpoint",
                "journal_size_limit",
                "application_id",
                "user_version",
            )
        }
        found |= {"cell_size_check": ledger.connection.execute("PRAGMA cell_size_check").fetchone()}
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "recursive_triggers": 1,
        "trusted_schema": 0,
        "busy_timeout": 30000,
        "mmap_size": 0,
        "wal_autocheckpoint": 1000,
        "journal_size_limit": 67108864,
        "application_id": 0x6F726331,
        "user_version": 2,
        "cell_size_check": (1,),
    }


@pytest.mark.parametrize("opener", [open_at, connect_reader])
def test_a_file_that_is_not_a_database_is_refused_and_unchanged(
    tmp_path: Path, opener: object
) -> None:
    path = tmp_path / "runs.db"
    path.write_bytes(b"not a database, but long enough to be read as the header of one" * 100)
    before = path.read_bytes()
    with pytest.raises(NotALedger, match=r"runs\.db: .*not an SQLite database"):
        opener(path)  # type: ignore[operator]  # both take a path
    assert path.read_bytes() == before


@pytest.mark.parametrize("opener", [open_at, connect_reader])
@pytest.mark.parametrize("application_id", [0, 0x0F055112])
def test_a_database_of_another_application_is_refused_and_unchanged(
    tmp_path: Path, opener: object, application_id: int
) -> None:
    path = tmp_path / "runs.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.execute(f"PRAGMA application_id = {application_id}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(NotALedger, match="not a ledger of orc"):
        opener(path)  # type: ignore[operator]  # both take a path
    assert path.read_bytes() == before


@pytest.mark.parametrize("opener", [open_at, connect_reader])
def test_a_ledger_of_a_newer_orc_is_refused_with_both_versions(
    tmp_path: Path, opener: object
) -> None:
    path = tmp_path / "runs.db"
    open_at(path).close()
    connection = raw(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LedgerTooNew, match=r"runs\.db: the ledger has schema 99.* up to 2;"):
        opener(path)  # type: ignore[operator]  # both take a path


def test_a_missing_file_is_created_only_on_request(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with pytest.raises(NoLedger, match=r"no ledger at .*runs\.db"):
        open_at(path, create=False)
    with pytest.raises(NoLedger, match="--db"):
        LedgerReader.open(path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_an_error_and_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(NoFolder, match="its folder does not exist"):
        open_at(tmp_path / "no" / "runs.db")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_place_of_the_file_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    path.mkdir()
    with pytest.raises(LedgerError, match=r"runs\.db"):
        open_at(path)
    with pytest.raises(LedgerError, match=r"runs\.db"):
        connect_reader(path)


def test_an_empty_file_is_no_ledger_to_a_reader_and_a_new_one_to_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    path.touch()
    with pytest.raises(NoLedger, match="is empty"):
        connect_reader(path)
    with open_at(path) as ledger:
        ledger.append([submitted()])
        assert ledger.head(JOB).version == 1


BAD_MIGRATION = ("CREATE TABLE half_done (x) STRICT",)
GOOD_MIGRATION = ("CREATE TABLE added (x TEXT) STRICT",)


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.db"
    with open_at(path) as ledger:
        ledger.append([submitted()])
    before = rows(path, "SELECT name, sql FROM sqlite_schema ORDER BY name")
    migrations = (*schema.MIGRATIONS, GOOD_MIGRATION, BAD_MIGRATION)
    monkeypatch.setattr(schema, "MIGRATIONS", migrations)
    with pytest.raises(StorageError):
        open_at(path)
    assert rows(path, "PRAGMA user_version") == [(2,)]
    assert rows(path, "SELECT name, sql FROM sqlite_schema ORDER BY name") == before
    monkeypatch.undo()
    with open_at(path) as ledger:
        ledger.append([started(2)])


def test_an_older_file_is_migrated_and_keeps_its_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.db"
    with open_at(path) as ledger:
        ledger.append([submitted()])
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, GOOD_MIGRATION))
    with LedgerReader.open(path) as reader:
        assert reader.head(JOB).version == 1
    with open_at(path) as ledger:
        ledger.append([started(2)])
    assert rows(path, "PRAGMA user_version") == [(3,)]
    assert rows(path, "SELECT count(*) FROM added") == [(0,)]


def test_a_creation_that_fails_leaves_an_empty_file_that_can_be_opened_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    with pytest.raises(RuntimeError, match="refuses"):
        open_at(path, projector=_RefusingTables())
    assert rows(path, "SELECT count(*) FROM sqlite_schema") == [(0,)]
    with open_at(path) as ledger:
        ledger.append([submitted()])


class _RefusingTables(Tally):
    def create(self, connection: sqlite3.Connection) -> None:
        super().create(connection)
        raise RuntimeError("the projector refuses")


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    open_at(path).close()
    connection = connect_reader(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("INSERT INTO orc_meta VALUES ('a', 'b')")
    connection.execute("PRAGMA query_only = OFF")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("INSERT INTO orc_meta VALUES ('a', 'b')")
    connection.close()


def test_a_reader_sees_each_commit_of_a_live_writer_and_no_half_of_one(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with open_at(path) as ledger, LedgerReader.open(path) as reader:
        ledger.append([submitted()])
        assert reader.head(JOB).version == 1
        with ledger._transaction():
            ledger._insert_events([started(2)])
            assert reader.head(JOB).version == 1
        assert reader.head(JOB).version == 2


def test_a_path_with_characters_of_a_url_is_only_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a b?mode=rw#c%20&d.db"
    with open_at(path) as ledger:
        ledger.append([submitted()])
    with LedgerReader.open(path) as reader:
        assert reader.head(JOB).version == 1
    assert all(entry.name.startswith(path.name) for entry in tmp_path.iterdir())


def test_a_writer_refuses_a_database_whose_header_is_not_its_own_before_any_setting(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(NotALedger):
        connect_writer(path)
    assert rows(path, "PRAGMA journal_mode") == [("delete",)]

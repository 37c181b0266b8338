"""A backup is one consistent, checked copy of a ledger, and does not replace files by accident."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from orc.ledger import LedgerReader
from orc.ledger.connection import connect_reader
from orc.ledger.errors import CorruptLedger, FileIsThere, LedgerError, NoFolder, NoLedger
from orc.ledger.files.new_file import write_new_file
from orc.ledger.transport.backup import write_backup
from tests.ledger.support import JOB, OTHER, open_at, skipped, started, submitted
from tests.other_users import give, needs_root


def test_a_backup_has_every_commit_and_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with open_at(tmp_path / "runs.db") as ledger:
            ledger.append([submitted(), started(2)], blobs=[b"one"])
            done = write_backup(tmp_path / "runs.db", tmp_path / "copy.db")
            # The backup and the writer do not block each other.
            ledger.append([skipped(3)])
    finally:
        os.umask(before)
    assert (done.jobs, done.events) == (1, 2)
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    with LedgerReader.open(tmp_path / "copy.db") as copy:
        assert copy.head(JOB).version == 2
    with open_at(tmp_path / "copy.db") as ledger:
        ledger.append([submitted(OTHER)])
    assert not list(tmp_path.glob(".*"))


def test_a_backup_replaces_a_file_only_with_force(tmp_path: Path) -> None:
    with open_at(tmp_path / "runs.db") as ledger:
        ledger.append([submitted()])
    target = tmp_path / "copy.db"
    target.write_text("somebody's")
    with pytest.raises(FileIsThere, match="--force"):
        write_backup(tmp_path / "runs.db", target)
    assert target.read_text() == "somebody's"
    write_backup(tmp_path / "runs.db", target, force=True)
    assert connect_reader(target).execute("SELECT count(*) FROM events").fetchone() == (1,)


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_what_sqlite_would_play_into_the_copy_is_refused(
    tmp_path: Path, force: bool, suffix: str
) -> None:
    with open_at(tmp_path / "runs.db") as ledger:
        ledger.append([submitted()])
    left = tmp_path / f"copy.db{suffix}"
    left.write_bytes(b"of a former copy.db")
    with pytest.raises(FileIsThere, match=f"remove copy.db{suffix}"):
        write_backup(tmp_path / "runs.db", tmp_path / "copy.db", force=force)
    assert not (tmp_path / "copy.db").exists()
    left.write_bytes(b"")
    write_backup(tmp_path / "runs.db", tmp_path / "copy.db", force=force)


def test_a_folder_for_large_files_that_others_can_change_is_refused(tmp_path: Path) -> None:
    with open_at(tmp_path / "runs.db") as ledger:
        ledger.append([submitted()])
    folder = tmp_path / "copy.db.files"
    folder.symlink_to(tmp_path)
    with pytest.raises(FileIsThere, match="not a folder that only you can change"):
        write_backup(tmp_path / "runs.db", tmp_path / "copy.db")
    folder.unlink()
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(FileIsThere, match="not a folder that only you can change"):
        write_backup(tmp_path / "runs.db", tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    folder.chmod(0o700)
    write_backup(tmp_path / "runs.db", tmp_path / "copy.db")


@needs_root
def test_a_folder_for_large_files_of_another_user_is_refused(tmp_path: Path) -> None:
    with open_at(tmp_path / "runs.db") as ledger:
        ledger.append([submitted()])
    (tmp_path / "copy.db.files").mkdir()
    give(tmp_path / "copy.db.files")
    with pytest.raises(FileIsThere, match="not a folder that only you can change"):
        write_backup(tmp_path / "runs.db", tmp_path / "copy.db")


@pytest.mark.parametrize("force", [True, False])
def test_the_ledger_itself_a_folder_and_a_link_are_never_replaced(
    tmp_path: Path, force: bool
) -> None:
    with open_at(tmp_path / "runs.db") as ledger:
        ledger.append([submitted()])
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("runs.db", "folder", "link"):
        with pytest.raises(FileIsThere):
            write_backup(tmp_path / "runs.db", tmp_path / name, force=force)
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(NoFolder, match="folder does not exist"):
        write_backup(tmp_path / "runs.db", tmp_path / "no" / "copy.db", force=force)
    with pytest.raises(NoLedger):
        write_backup(tmp_path / "none.db", tmp_path / "copy.db", force=force)


def test_a_damaged_ledger_gives_no_backup(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with open_at(path) as ledger:
        ledger.append([submitted()])
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER events_no_delete")
    connection.close()
    with pytest.raises(CorruptLedger, match="events_no_delete is missing"):
        write_backup(path, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "new"

    def make(temporary: Path) -> None:
        temporary.write_text("ours")
        target.write_text("theirs")

    with pytest.raises(FileIsThere):
        write_new_file(target, make, force=False)
    assert target.read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_failed_backup_leaves_no_file(tmp_path: Path) -> None:
    def make(temporary: Path) -> None:
        temporary.write_text("half")
        raise LedgerError("no")

    with pytest.raises(LedgerError, match="no"):
        write_new_file(tmp_path / "new", make, force=True)
    assert list(tmp_path.iterdir()) == []

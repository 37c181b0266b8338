"""The lock files of a ledger are not those of another ledger that takes its name."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from orc.cli.doctor.leftover_files import find_leftover_files
from orc.ledger import OwnerLock
from orc.ledger.errors import StorageError
from orc.ledger.files.lock_paths import locks_dir
from orc.ledger.files.run_places import note_folder
from orc.ledger.reader import LedgerReader, read_ledger_id
from orc.ledger.transport.backup import write_backup
from tests.ledger.support import JOB, open_at, submitted


def id_of(database: Path) -> str:
    with LedgerReader.open(database) as ledger:
        return read_ledger_id(ledger.connection)


def test_a_ledger_keeps_its_identity_and_so_does_a_backup(tmp_path: Path) -> None:
    database = tmp_path / "runs.db"
    with open_at(database) as ledger:
        ledger.append([submitted()])
        found = read_ledger_id(ledger.connection)
    assert re.fullmatch("[0-9a-f]{32}", found)
    open_at(database).close()
    write_backup(database, tmp_path / "copy.db")
    open_at(tmp_path / "other.db").close()
    assert id_of(database) == id_of(tmp_path / "copy.db") == found
    assert id_of(tmp_path / "other.db") != found


def test_another_ledger_does_not_take_the_name_while_a_job_runs(tmp_path: Path) -> None:
    database, other = tmp_path / "runs.db", tmp_path / "other.db"
    open_at(database).close()
    open_at(other).close()
    lock = OwnerLock(database, JOB)
    lock.acquire()
    open_at(database).close()
    database.rename(tmp_path / "moved.db")
    other.rename(database)
    with pytest.raises(StorageError, match=f"a process still runs {JOB} of the other one"):
        open_at(database)
    lock.release()
    open_at(database).close()
    lock.acquire()
    open_at(database).close()
    lock.release()


def test_locks_without_a_record_belong_to_the_ledger(tmp_path: Path) -> None:
    database = tmp_path / "runs.db"
    open_at(database).close()
    lock = OwnerLock(database, JOB)
    lock.acquire()
    for content in (None, "", "[]", "{", '{"ledger_id": null}'):
        record = locks_dir(database) / "ledger.json"
        record.unlink()
        if content is not None:
            record.write_text(content)
        open_at(database).close()
        assert id_of(database) in record.read_text()
    lock.release()


def test_what_a_killed_process_left_of_the_record_is_named_and_removed(tmp_path: Path) -> None:
    database = tmp_path / "runs.db"
    open_at(database).close()
    locks = locks_dir(database)
    left = locks / ".ledger.json.7-7.orc-tmp"
    left.touch()
    assert [found.path for found in find_leftover_files(database)] == [left]
    (locks / "ledger.json").unlink()
    open_at(database).close()
    assert sorted(os.listdir(locks)) == ["ledger.json", "writer"]


def test_what_a_killed_process_left_of_a_note_is_removed(tmp_path: Path) -> None:
    database = tmp_path / "runs.db"
    open_at(database).close()
    (locks_dir(database) / f".{JOB}.folder.7-7.orc-tmp").touch()
    note_folder(database, JOB, tmp_path / "runs")
    assert sorted(os.listdir(locks_dir(database))) == sorted(
        ["ledger.json", "writer", f"{JOB}.folder"]
    )

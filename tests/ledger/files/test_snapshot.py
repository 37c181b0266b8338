"""A ledger that is not one's own is read as a fixed file, or from a private copy."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orc.ledger import LedgerReader
from orc.ledger.connection import source_to_read
from orc.ledger.errors import ExposedFiles, LedgerError, StorageError
from orc.ledger.files import snapshot
from orc.ledger.files.exposure import trusting
from tests.ledger.support import JOB, open_at, submitted
from tests.other_users import shared_folder


@pytest.fixture
def exposed() -> Iterator[Path]:
    """A ledger with a job, in a folder that others can write to, and without a log."""
    with shared_folder() as folder:
        with open_at(folder / "runs.db") as ledger:
            ledger.append([submitted()])
        for suffix in ("-wal", "-shm"):
            (folder / f"runs.db{suffix}").unlink(missing_ok=True)
        folder.chmod(0o777)
        yield folder / "runs.db"


def logged(database: Path) -> sqlite3.Connection:
    """A connection that keeps what it commits in the log."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("INSERT INTO orc_meta VALUES ('logged', 'yes')")
    return connection


def is_logged(ledger: LedgerReader) -> bool:
    query = "SELECT value FROM orc_meta WHERE key = 'logged'"
    return bool(ledger.connection.execute(query).fetchone() == ("yes",))


def test_ones_own_ledger_is_read_in_place(exposed: Path) -> None:
    exposed.parent.chmod(0o755)
    assert not source_to_read(exposed).is_snapshot


def test_without_a_log_the_file_is_read_as_one_that_does_not_change(exposed: Path) -> None:
    source = source_to_read(exposed)
    assert (source.path, source.is_fixed, source.copy) == (exposed, True, None)
    with LedgerReader.open(exposed) as ledger:
        assert ledger.head(JOB).version == 1
    assert {path.name for path in exposed.parent.iterdir()} == {"runs.db", "runs.db.locks"}


def test_with_a_log_a_private_copy_is_read_and_removed(exposed: Path) -> None:
    with closing(logged(exposed)):
        source = source_to_read(exposed)
        assert source.copy is not None
        folder = source.path.parent
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
        source.close()
        assert not folder.exists()
        with LedgerReader.open(exposed) as ledger:
            assert is_logged(ledger)
            with closing(sqlite3.connect(exposed, isolation_level=None)) as writer:
                writer.execute("DELETE FROM orc_meta WHERE key = 'logged'")
            assert is_logged(ledger)
            ledger.reopen()
            assert not is_logged(ledger)


def test_a_ledger_that_this_process_writes_is_read_in_place(exposed: Path) -> None:
    with trusting(True):
        ledger = open_at(exposed)
    with ledger:
        assert not source_to_read(exposed).is_snapshot
    assert source_to_read(exposed).is_snapshot


def test_a_copy_is_made_again_until_the_files_are_the_same_before_and_after(
    exposed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_file, checkpoints = snapshot._copy_file, 3
    with closing(logged(exposed)) as writer:

        def copy_and_checkpoint(source: Path, target: Path) -> None:
            nonlocal checkpoints
            copy_file(source, target)
            if source == exposed and checkpoints:
                checkpoints -= 1
                writer.execute("UPDATE orc_meta SET value = 'no' WHERE key = 'logged'")
                writer.execute("PRAGMA wal_checkpoint(RESTART)")
                writer.execute("UPDATE orc_meta SET value = 'yes' WHERE key = 'logged'")

        monkeypatch.setattr(snapshot, "_copy_file", copy_and_checkpoint)
        monkeypatch.setattr(snapshot, "_PAUSE_S", 0)
        with LedgerReader.open(exposed) as ledger:
            assert is_logged(ledger)
        assert checkpoints == 0
        checkpoints = 10**6
        with pytest.raises(StorageError, match="is being changed all the time"):
            LedgerReader.open(exposed)


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_a_log_or_journal_that_is_no_file_is_named(kind: str, suffix: str, exposed: Path) -> None:
    path = Path(f"{exposed}{suffix}")
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/etc/passwd")
    with pytest.raises(ExposedFiles, match=f"{path} is .*; remove {path}"):
        LedgerReader.open(exposed)


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_no_file_is_copied_through_a_link_or_from_a_pipe(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="not a regular file"):
        snapshot.copy_database(path)


def test_a_ledger_that_is_a_pipe_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "runs.db")
    with pytest.raises(LedgerError, match=r"runs\.db is a pipe, a socket or a device"):
        LedgerReader.open(tmp_path / "runs.db")
    with pytest.raises(LedgerError, match=r"runs\.db is a pipe, a socket or a device"):
        open_at(tmp_path / "runs.db")

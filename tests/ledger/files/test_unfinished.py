"""A folder is marked while it is written: a killed command can be given again, and no file is lost."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

import pytest

from orc.ledger.errors import FileIsThere, StorageError
from orc.ledger.files.folder import Folder
from orc.ledger.files.unfinished import MARK, refuse_full, unfinished


def write_half(path: Path, what: str = "folder of a") -> None:
    """Leave the folder as a killed process does."""
    with suppress(KeyboardInterrupt), unfinished(path, what) as folder:
        folder.write("half", b"1")
        (path / ".half.1-2.orc-tmp").touch()
        raise KeyboardInterrupt


def test_a_written_folder_has_no_mark_and_is_refused_afterwards(tmp_path: Path) -> None:
    with unfinished(tmp_path / "new", "folder of a") as folder:
        assert (tmp_path / "new" / MARK).exists()
        folder.write("one", b"1")
    assert os.listdir(tmp_path / "new") == ["one"]
    with (
        pytest.raises(FileIsThere, match="not an empty folder"),
        unfinished(tmp_path / "new", "folder of a"),
    ):
        pass


def test_an_unfinished_folder_is_completed_by_the_same_command_only(tmp_path: Path) -> None:
    path = tmp_path / "new"
    write_half(path)
    with pytest.raises(FileIsThere, match="left unfinished by another command"):
        refuse_full(path, "folder of b")
    with unfinished(path, "folder of a") as folder:
        assert sorted(folder.files()) == [MARK, "half"]
    assert os.listdir(path) == ["half"]


def test_a_folder_of_somebody_is_refused_and_gets_no_mark(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    for path in (tmp_path, tmp_path / "mine"):
        with pytest.raises(FileIsThere), unfinished(path, "folder of a"):
            pass
    # A mark that says nothing belongs to an export only if nothing else is there.
    (tmp_path / MARK).touch()
    with pytest.raises(FileIsThere), unfinished(tmp_path, "folder of a"):
        pass
    (tmp_path / "mine").unlink()
    with unfinished(tmp_path, "folder of a"):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", ["{", "7", "x" * 5000, "\udcff"])
def test_a_mark_that_cannot_be_read_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / MARK).write_bytes(content.encode(errors="surrogateescape"))
    (tmp_path / "mine").touch()
    with pytest.raises(FileIsThere), unfinished(tmp_path, "folder of a"):
        pass


def test_a_mark_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "folder" / MARK).symlink_to(tmp_path / "precious")
    with pytest.raises((FileIsThere, StorageError)), unfinished(tmp_path / "folder", "folder of a"):
        pass
    assert (tmp_path / "precious").read_text() == "precious"


def test_two_processes_do_not_write_the_same_folder(tmp_path: Path) -> None:
    path = tmp_path / "new"
    with unfinished(path, "folder of a") as folder:
        with pytest.raises(FileIsThere, match="another process"), unfinished(path, "folder of a"):
            pass
        folder.write("one", b"1")
    assert list(Folder(path).files()) == ["one"]


def test_a_filesystem_without_locks_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with unfinished(tmp_path / "out", "a copy") as folder:
        folder.write("a.txt", b"a")
    assert os.listdir(tmp_path / "out") == ["a.txt"]

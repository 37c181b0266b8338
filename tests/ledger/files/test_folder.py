"""No path and no symbolic link makes a `Folder` write outside of its folder."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from orc.ledger.files.folder import Folder, UnsafePath

SWAPS = 300


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.mkdir()
    (path / "kept").write_bytes(b"kept")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    inside = Folder(tmp_path / "inside")
    inside.create()
    return inside


def _untouched(outside: Path) -> bool:
    return [path.name for path in outside.iterdir()] == ["kept"] and (
        outside / "kept"
    ).read_bytes() == b"kept"


@pytest.mark.parametrize(
    "path",
    ["", "/etc/x", "../x", "a/../../x", "a/..", ".", "a//b", "a/./b", "a/", "a\x00b"],
)
def test_a_path_that_is_not_plain_and_relative_is_refused(folder: Folder, path: str) -> None:
    with pytest.raises(UnsafePath):
        folder.write(path, b"x")
    assert list(folder.path.parent.rglob("x")) == []


def test_a_linked_folder_is_never_followed(folder: Folder, outside: Path) -> None:
    (folder.path / "link").symlink_to(outside)
    somebodys = Folder(folder.path, private=False)
    with pytest.raises(UnsafePath):
        somebodys.write("link/new", b"x")
    with pytest.raises(UnsafePath):
        somebodys.write("link/deep/new", b"x")
    assert folder.read("link/kept") is None
    assert folder.stat("link/kept") is None
    with pytest.raises(OSError):
        folder.remove("link/kept")
    assert _untouched(outside)


def test_a_link_in_place_of_a_private_folder_is_removed(folder: Folder, outside: Path) -> None:
    (folder.path / "link").symlink_to(outside)
    folder.write("link/deep/new", b"x")
    assert (folder.path / "link/deep/new").read_bytes() == b"x"
    assert not (folder.path / "link").is_symlink()
    assert _untouched(outside)


def test_a_folder_in_the_place_of_a_file_reads_as_no_file(folder: Folder) -> None:
    folder.create_folder("there")
    assert folder.read("there") is None


def test_a_linked_file_is_replaced_and_not_written_through(folder: Folder, outside: Path) -> None:
    (folder.path / "file").symlink_to(outside / "kept")
    folder.write("file", b"new")
    assert (folder.path / "file").read_bytes() == b"new"
    assert not (folder.path / "file").is_symlink()
    assert _untouched(outside)


@pytest.mark.parametrize("private", [True, False])
def test_a_folder_that_is_replaced_by_a_link_during_a_write_is_not_followed(
    folder: Folder, outside: Path, private: bool
) -> None:
    place, aside = folder.path / "place", folder.path / "aside"
    place.mkdir()
    writer = Folder(folder.path, private=private)
    is_over = threading.Event()

    def swap() -> None:
        while not is_over.is_set():
            try:
                os.rename(place, aside)
                os.symlink(outside, place)
                os.unlink(place)
                os.rename(aside, place)
            except OSError:
                # The writer was faster and created the folder.
                aside.mkdir(exist_ok=True)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for number in range(SWAPS):
            try:
                writer.write(f"place/{number}", b"x")
            except OSError:
                continue
    finally:
        is_over.set()
        swapper.join()
    assert _untouched(outside)


def test_a_dangling_link_makes_no_file_at_its_target(folder: Folder, outside: Path) -> None:
    (folder.path / "file").symlink_to(outside / "made")
    folder.write("file", b"new")
    assert _untouched(outside)


def test_links_are_neither_read_nor_listed(folder: Folder, outside: Path) -> None:
    (folder.path / "file").symlink_to(outside / "kept")
    (folder.path / "link").symlink_to(outside)
    folder.write("real", b"x")
    assert folder.read("file") is None
    assert folder.stat("file") is None
    assert list(folder.files()) == ["real"]


def test_a_file_where_a_folder_should_be_is_kept(folder: Folder) -> None:
    folder.write("a", b"x")
    with pytest.raises(UnsafePath):
        folder.write("a/b", b"y")
    assert folder.read("a") == b"x"


def test_a_pipe_is_not_waited_for(folder: Folder) -> None:
    os.mkfifo(folder.path / "pipe")
    assert folder.read("pipe") is None
    assert list(folder.files()) == []


def test_a_planted_temporary_link_is_not_followed(
    folder: Folder, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threading.get_ident", lambda: 7)
    (folder.path / f".file.{os.getpid()}-7.orc-tmp").symlink_to(outside / "kept")
    folder.write("file", b"new")
    assert folder.read("file") == b"new"
    assert _untouched(outside)


def test_a_write_leaves_one_whole_private_file(folder: Folder) -> None:
    folder.write("deep/er/file", b"one")
    folder.write("deep/er/file", b"two")
    assert list(folder.files()) == ["deep/er/file"]
    assert folder.read("deep/er/file") == b"two"
    for path, mode in (("deep/er/file", 0o600), ("deep/er", 0o700), ("", 0o700)):
        assert (folder.path / path).stat().st_mode & 0o777 == mode


def test_a_failed_write_leaves_what_was_there(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("file", b"one")

    def refuse(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError):
        folder.write("file", b"two")
    assert folder.read("file") == b"one"
    assert list(folder.files()) == ["file"]


def test_removing_a_missing_file_is_no_error(folder: Folder) -> None:
    folder.remove("nothing")
    folder.write("file", b"x")
    folder.remove("file")
    assert list(folder.files()) == []

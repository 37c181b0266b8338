"""New files: whole or not there, also without hard links, and after processes that were killed."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from orc.ledger import failpoints
from orc.ledger.errors import FileIsThere, StorageError
from orc.ledger.files.new_file import write_new_bytes, write_new_file
from orc.ledger.files.temporary import LOCK_NAME, find_leftovers, temporary_name

# Python 3.12 warns about a fork of a process with threads, such as a worker of pytest-xdist. The
# child here is killed, or exits, before it could wait for one.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

NO_LINKS = ["EPERM", "EACCES", "EMLINK", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EINVAL", "EXDEV"]


@pytest.fixture
def without_links(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make `os.link` fail as it does on a filesystem without hard links."""

    def use(name: str) -> None:
        def link(source: object, target: object) -> None:
            raise OSError(getattr(errno, name), "no links here")

        monkeypatch.setattr("os.link", link)

    return use


def killed_at(place: str, target: Path, content: bytes) -> None:
    """Write the file in a process that is killed at the failpoint."""
    pid = os.fork()
    if pid == 0:
        try:
            failpoints.arm(f"{place}=kill")
            write_new_bytes(target, content, force=False)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL, place


@pytest.mark.parametrize("name", NO_LINKS)
def test_a_file_is_written_without_hard_links_and_replaces_none(
    tmp_path: Path, without_links: Callable[[str], None], name: str
) -> None:
    without_links(name)
    write_new_bytes(tmp_path / "new", b"ours", force=False)
    assert (tmp_path / "new").read_bytes() == b"ours"
    with pytest.raises(FileIsThere):
        write_new_bytes(tmp_path / "new", b"other", force=False)

    def make(temporary: Path) -> None:
        temporary.write_bytes(b"ours")
        (tmp_path / "taken").write_bytes(b"theirs")

    with pytest.raises(FileIsThere):
        write_new_file(tmp_path / "taken", make, force=False)
    assert (tmp_path / "taken").read_bytes() == b"theirs"
    assert sorted(os.listdir(tmp_path)) == ["new", "taken"]


def test_another_failure_of_a_link_is_an_error(
    tmp_path: Path, without_links: Callable[[str], None]
) -> None:
    without_links("EIO")
    with pytest.raises(StorageError, match="no links here"):
        write_new_bytes(tmp_path / "new", b"ours", force=False)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("has_links", [True, False])
@pytest.mark.parametrize(
    "place", ["before_make", "made", "noted", "reserved", "placed", "noted placed", "placed noted"]
)
def test_a_killed_command_is_completed_by_the_same_command(
    tmp_path: Path, without_links: Callable[[str], None], place: str, has_links: bool
) -> None:
    target = tmp_path / "new"
    if not has_links:
        without_links("EPERM")
    elif place in ("noted", "reserved", "noted placed"):
        pytest.skip("these places are reached only without hard links")
    for name in place.split():
        killed_at(f"new_file.{name}", target, b"first")
        assert not target.exists() or target.read_bytes() in (b"first", b"")
    assert os.listdir(tmp_path) != []
    write_new_bytes(target, b"again", force=False)
    assert target.read_bytes() == b"again"
    assert os.listdir(tmp_path) == ["new"]


@pytest.mark.parametrize("again", [b"first", b"again"])
@pytest.mark.parametrize("is_removed", [True, False])
def test_a_file_that_took_the_place_of_a_killed_commands_file_is_kept(
    again: bytes, is_removed: bool, tmp_path: Path, without_links: Callable[[str], None]
) -> None:
    without_links("EPERM")
    target = tmp_path / "new"
    killed_at("new_file.placed", target, b"first")
    assert target.read_bytes() == b"first"
    if is_removed:
        target.unlink()
    target.write_bytes(b"mine!")
    with pytest.raises(FileIsThere):
        write_new_bytes(target, again, force=False)
    assert target.read_bytes() == b"mine!"
    # What the killed command has written itself is completed by the next one.
    target.write_bytes(b"first")
    write_new_bytes(target, again, force=False)
    assert target.read_bytes() == again
    assert os.listdir(tmp_path) == ["new"]


def test_a_file_of_somebody_is_kept_beside_what_a_killed_command_left(tmp_path: Path) -> None:
    target = tmp_path / "new"
    killed_at("new_file.made", target, b"first")
    target.write_bytes(b"")
    with pytest.raises(FileIsThere):
        write_new_bytes(target, b"again", force=False)
    assert target.read_bytes() == b""


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "new"

    def make(temporary: Path) -> None:
        temporary.write_bytes(b"slow")
        [left] = find_leftovers(tmp_path, ["new"])
        assert not left.is_dead
        write_new_bytes(target, b"quick", force=False)

    with pytest.raises(FileIsThere):
        write_new_file(target, make, force=False)
    assert target.read_bytes() == b"quick"
    assert os.listdir(tmp_path) == ["new"]


def test_a_temporary_folder_whose_removal_was_cut_short_is_still_a_leftover(
    tmp_path: Path,
) -> None:
    killed_at("new_file.made", tmp_path / "new", b"first")
    [left] = find_leftovers(tmp_path)
    (left.path / "new").unlink()
    write_new_bytes(tmp_path / "new", b"again", force=False)
    left.path.mkdir()
    (left.path / "precious").touch()
    assert [found.is_dead for found in find_leftovers(tmp_path)] == [True]
    # Without its lock, a folder that is not empty is not one that orc made.
    write_new_bytes(tmp_path / "new", b"more", force=True)
    assert (left.path / "precious").exists()
    (left.path / LOCK_NAME).touch()
    write_new_bytes(tmp_path / "new", b"more", force=True)
    assert os.listdir(tmp_path) == ["new"]


@pytest.mark.parametrize("name", ["x" * 255, "\N{FOX FACE}" * 63, "a b", "n\udcffm"])
def test_a_name_of_any_length_has_a_temporary_name(tmp_path: Path, name: str) -> None:
    assert len(os.fsencode(temporary_name(name))) < 255
    write_new_bytes(tmp_path / name, b"x", force=False)
    assert os.listdir(tmp_path) == [name]


def test_a_folder_that_cannot_be_synced_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def fsync(fd: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            raise OSError(errno.EINVAL, "not for folders")
        sync(fd)

    monkeypatch.setattr("os.fsync", fsync)
    write_new_bytes(tmp_path / "new", b"x", force=False)
    assert (tmp_path / "new").read_bytes() == b"x"


def test_a_link_in_place_of_a_temporary_folder_leads_nowhere(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in (LOCK_NAME, "precious"):
        (mine / name).touch()
    (tmp_path / ".new.7-7.orc-tmp").symlink_to(mine)
    write_new_bytes(tmp_path / "new", b"x", force=False)
    assert sorted(os.listdir(mine)) == [LOCK_NAME, "precious"]


def test_other_content_does_not_replace_what_a_killed_command_had_finished(tmp_path: Path) -> None:
    target = tmp_path / "new"
    killed_at("new_file.placed", target, b"first")
    with pytest.raises(FileIsThere):
        write_new_bytes(target, b"other", force=False, what="something else")
    assert target.read_bytes() == b"first"
    write_new_bytes(target, b"again", force=False)
    assert target.read_bytes() == b"again"
    assert os.listdir(tmp_path) == ["new"]

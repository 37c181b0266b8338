"""Which files and folders at a ledger are one's own: owner, mode, kind and number of names."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orc.ledger.errors import ExposedFiles
from orc.ledger.files.exposure import VARIABLE, examine_folder, examine_ledger, trusting
from orc.ledger.files.way import open_way
from tests.ledger.support import open_at
from tests.other_users import ANOTHER, give, needs_root, shared_folder

BESIDE = [
    "runs.db-journal",
    "runs.db-wal",
    "runs.db-shm",
    "runs.db.search",
    "runs.db.search-journal",
    "runs.db.search-wal",
    "runs.db.search-shm",
]


STORE = "runs.db.files"
STORED = f"{STORE}/ab/{'ab' * 32}"
FOLDERS = ["runs.db.locks", STORE, f"{STORE}/ab"]
INSIDE = [*FOLDERS, "runs.db.locks/writer", STORED]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a ledger that has a large file, below the sticky folder for temporary files."""
    with shared_folder() as found:
        open_at(found / "runs.db").close()
        for name in (STORE, f"{STORE}/ab"):
            (found / name).mkdir(mode=0o700)
        (found / STORED).touch(mode=0o400)
        yield found


def faults_of(database: Path, *, with_locks: bool = False) -> dict[Path, str]:
    found = examine_ledger(database, with_locks=with_locks)
    return {fault.path: fault.what for fault in found.faults}


def test_a_ledger_in_ones_own_folder_has_no_fault(folder: Path) -> None:
    for name in BESIDE:
        (folder / name).touch()
    examined = examine_ledger(folder / "runs.db", with_locks=True)
    assert (examined.is_own, examined.faults) == (True, ())
    found = (folder / "runs.db").stat()
    assert examined.identity == (found.st_dev, found.st_ino)
    assert examine_ledger(folder / "new.db").is_own
    assert examine_ledger(folder / "new.db").identity is None


@needs_root
@pytest.mark.parametrize("name", [".", "runs.db", *INSIDE, *BESIDE])
def test_what_belongs_to_another_user_is_a_fault(name: str, folder: Path) -> None:
    path = folder / name
    if not path.exists():
        path.touch()
    give(path)
    assert faults_of(folder / "runs.db", with_locks=True) == {path: f"belongs to user {ANOTHER}"}


@pytest.mark.parametrize("name", [".", "runs.db", *INSIDE, *BESIDE])
def test_what_others_can_write_is_a_fault(name: str, folder: Path) -> None:
    path = folder / name
    if not path.exists():
        path.touch()
    path.chmod(path.stat().st_mode | 0o002)
    assert faults_of(folder / "runs.db", with_locks=True) == {path: "can be written by others"}


@pytest.mark.parametrize("name", [*INSIDE, *BESIDE])
@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "socket"])
def test_what_is_no_plain_file_is_a_fault(kind: str, name: str, folder: Path) -> None:
    path = folder / name
    if path.is_dir():
        path.rename(folder / "moved")
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(folder / "moved")
    elif kind == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    if name in FOLDERS and kind == "folder":
        assert not faults_of(folder / "runs.db", with_locks=True)
        return
    found = examine_ledger(folder / "runs.db", with_locks=True).faults
    assert [(fault.path, fault.cause) for fault in found] == [(path, "kind")]
    with trusting(True):
        assert not examine_ledger(folder / "runs.db", with_locks=True).is_own


@pytest.mark.parametrize("name", ["runs.db", "runs.db-wal", "runs.db.search", STORED])
def test_a_second_name_of_a_file_is_a_fault(name: str, folder: Path) -> None:
    (folder / name).touch()
    os.link(folder / name, folder / "second")
    assert "has 2 names" in faults_of(folder / "runs.db", with_locks=True)[folder / name]
    if name == "runs.db":
        assert "has 2 names" in faults_of(folder / "second")[folder / "second"]


def test_a_sticky_folder_is_no_place_for_a_ledger_but_may_be_on_the_way(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir(mode=0o700)
    folder.chmod(0o1777)
    assert examine_ledger(inner / "new.db").is_own
    assert faults_of(folder / "runs.db") == {
        folder: "is a folder in which every user can create files"
    }


@needs_root
def test_every_folder_and_link_on_the_way_counts(folder: Path) -> None:
    way = folder / "of another" / "own"
    way.mkdir(parents=True)
    give(way.parent)
    assert list(faults_of(way / "new.db")) == [way.parent]
    way.parent.chmod(0o777)
    give(way.parent, uid=0)
    assert faults_of(way / "new.db") == {way.parent: "can be written by others"}

    (folder / "link.db").symlink_to("runs.db")
    assert examine_ledger(folder / "link.db").is_own
    give(folder / "link.db")
    assert faults_of(folder / "link.db") == {folder / "link.db": f"belongs to user {ANOTHER}"}
    # The way of the link counts, too, not only the way of its target.
    (way / "link.db").symlink_to(folder / "runs.db")
    assert list(faults_of(way / "link.db")) == [way.parent]


@needs_root
def test_write_permission_for_a_group_is_accepted_for_ones_private_group_only(folder: Path) -> None:
    (folder / "runs.db").chmod(0o660)
    assert examine_ledger(folder / "runs.db").is_own  # root's group has root alone
    os.chown(folder / "runs.db", -1, ANOTHER)
    assert faults_of(folder / "runs.db") == {folder / "runs.db": "can be written by others"}


@needs_root
def test_an_access_list_hides_behind_the_private_group(folder: Path) -> None:
    path = folder / "runs.db"
    path.chmod(0o660)
    # The binary form of `u::rw,u:54321:rw,g::r,m::rw,o::-`: version 2, then tag, rights, id.
    entries = [(1, 6, -1), (2, 6, ANOTHER), (4, 4, -1), (16, 6, -1), (32, 0, -1)]
    value = (2).to_bytes(4, "little") + b"".join(
        tag.to_bytes(2, "little")
        + rights.to_bytes(2, "little")
        + (who % 2**32).to_bytes(4, "little")
        for tag, rights, who in entries
    )
    try:
        os.setxattr(path, "system.posix_acl_access", value)
    except (OSError, AttributeError):
        pytest.skip("the filesystem has no access lists")
    assert faults_of(path) == {path: "can be written by others"}


def test_a_refusal_names_every_path_and_its_remedy(folder: Path) -> None:
    examine_ledger(folder / "runs.db").refuse("refused")
    folder.chmod(0o777)
    (folder / "runs.db").chmod(0o666)
    with pytest.raises(ExposedFiles) as refused:
        examine_ledger(folder / "runs.db").refuse("refused")
    assert refused.value.is_trustable
    said = str(refused.value)
    assert said.startswith(f"refused: {folder} can be written by others; chmod go-w {folder}. ")
    assert f"{folder}/runs.db can be written by others; chmod go-w {folder}/runs.db" in said
    assert f"name the folder in {VARIABLE}" in said
    os.mkfifo(folder / "runs.db-journal")
    with pytest.raises(ExposedFiles) as refused:
        examine_ledger(folder / "runs.db").refuse("refused")
    assert not refused.value.is_trustable
    assert VARIABLE not in str(refused.value)


def test_folders_that_the_user_trusts_are_accepted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.chmod(0o777)
    (folder / "link").symlink_to(folder)
    for trusted in (folder, folder.parent, folder / "link", f"/nowhere:{folder}/."):
        monkeypatch.setenv(VARIABLE, str(trusted))
        assert examine_ledger(folder / "runs.db").is_own, trusted
    for other in ("", folder / "inner", "relative", f"{folder}x"):
        monkeypatch.setenv(VARIABLE, str(other))
        assert not examine_ledger(folder / "runs.db").is_own, other


def test_trust_ends_with_its_block(folder: Path) -> None:
    folder.chmod(0o777)
    with trusting(True):
        assert examine_ledger(folder / "runs.db").is_own
        with trusting(False):
            assert examine_ledger(folder / "runs.db").is_own
    assert not examine_ledger(folder / "runs.db").is_own


def test_the_folder_for_run_folders_is_examined_with_its_way(folder: Path) -> None:
    runs = folder / "runs"
    runs.mkdir()
    assert examine_folder(runs).is_own
    runs.chmod(0o1777)
    assert [fault.path for fault in examine_folder(runs).faults] == [runs]


def test_the_way_has_no_links_and_no_dots(folder: Path) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "to_b").symlink_to("a/b")
    (folder / "absolute").symlink_to(folder / "to_b")
    for text in ("absolute/../../runs.db", "to_b/.././../runs.db", "a//b/../../runs.db"):
        with open_way(folder / text) as way:
            assert way.path == folder / "runs.db", text
            assert way.status is not None
    (folder / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"), open_way(folder / "loop"):
        pass


@needs_root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="this system has no mounts of its own")
def test_a_file_that_is_mounted_alone_is_a_fault_and_its_folder_is_not(folder: Path) -> None:
    (folder / "there").mkdir()
    (folder / "there" / "runs.db").touch()
    (folder / "all").mkdir()
    program = (
        "from pathlib import Path; from orc.ledger.files.exposure import examine_ledger\n"
        f"for name in ('there', 'all'):\n"
        f"    print([f.what for f in examine_ledger(Path({str(folder)!r}, name, 'runs.db')).faults])"
    )
    script = (
        f"mount --bind {folder}/runs.db {folder}/there/runs.db && "
        f'mount --bind {folder}/there {folder}/all && exec {sys.executable} -c "$0"'
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, program], capture_output=True, text=True
    )
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("this system allows no mounts")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['is mounted alone, without the files beside it']", "[]"]

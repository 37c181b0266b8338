"""The folder of an attempt: what is placed in it, and what counts as made or changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orc.ledger.digest import digest_bytes
from orc.scheduler.folders.globs import Globs
from orc.scheduler.folders.shared_folder import SharedFolder
from orc.scheduler.folders.work_folder import Stamp, WorkFolder

CONTENT = b"kept\n"
FORGED = b"fake\n"
ALL = Globs(["**"])


@pytest.fixture
def folder(tmp_path: Path) -> WorkFolder:
    found = WorkFolder(f"{tmp_path}/work/a.1", f"{tmp_path}/work/a.1.artifacts")
    found.create()
    return found


def place(folder: WorkFolder, *paths: str, mode: str | None = None) -> None:
    for path in paths:
        folder.place(path, digest_bytes(CONTENT), (CONTENT[:2], CONTENT[2:]), mode)
    folder.begin()


def started_later(monkeypatch: pytest.MonkeyPatch, by_ns: int) -> None:
    """Let the work begin so long after the inputs were placed."""
    now: Callable[[], int] = time.time_ns
    monkeypatch.setattr("orc.scheduler.folders.work_folder.time.time_ns", lambda: now() + by_ns)


def forge(path: Path, *, until: Callable[[], bool]) -> None:
    """Write other bytes of the same size in place, and set the time back."""
    before = path.stat()
    for _ in range(1000):
        with path.open("r+b") as file:
            file.write(FORGED)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        if until():
            return
        time.sleep(0.001)
    pytest.skip("the filesystem does not record when a file changes")


def test_an_input_has_its_content_and_mode_and_is_not_made_by_the_attempt(
    folder: WorkFolder,
) -> None:
    place(folder, "a.sh", "deep/er/b.sh", mode="750")
    assert (folder.path / "deep/er/b.sh").read_bytes() == CONTENT
    assert (folder.path / "a.sh").stat().st_mode & 0o777 == 0o750
    assert folder.made(ALL) == []


def test_what_the_attempt_makes_and_changes_is_found(folder: WorkFolder) -> None:
    place(folder, "kept.txt", "grown.txt", "same.txt", "gone.txt")
    (folder.path / "grown.txt").write_bytes(CONTENT * 2)
    (folder.path / "same.txt").write_bytes(CONTENT)
    (folder.path / "gone.txt").unlink()
    (folder.path / "new.txt").write_bytes(CONTENT)
    (folder.path / "link.txt").symlink_to("new.txt")
    assert folder.made(Globs(["*.txt"])) == ["grown.txt", "new.txt"]
    assert folder.changed_inputs(except_for=Globs(["new*"])) == ["grown.txt"]


def test_a_forged_input_is_found_by_the_time_that_no_program_can_set(
    folder: WorkFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(folder, "a.txt")
    started_later(monkeypatch, 10**10)
    folder.begin()
    path = folder.path / "a.txt"
    before = path.stat().st_ctime_ns
    assert folder.made(ALL) == []
    forge(path, until=lambda: path.stat().st_ctime_ns != before)
    assert folder.made(ALL) == ["a.txt"]


def test_a_forged_input_is_found_within_one_tick_of_the_filesystem(
    folder: WorkFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(folder, "a.txt")
    path = folder.path / "a.txt"
    as_placed = path.stat()
    forge(path, until=lambda: True)
    # As if the forgery had fallen into the tick in which the file was placed.
    monkeypatch.setattr("orc.ledger.files.folder.Folder.stat", lambda folder, path: as_placed)
    assert folder.made(ALL) == ["a.txt"]


def test_an_input_that_was_placed_long_before_is_not_read_again(
    folder: WorkFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(folder, "a.txt")
    started_later(monkeypatch, 10**10)
    folder.begin()
    monkeypatch.setattr("orc.scheduler.folders.work_folder.digest_of", lambda folder, path: "read")
    assert folder.made(ALL) == []


def test_only_folders_that_a_pattern_can_match_are_entered(folder: WorkFolder) -> None:
    globs = Globs(["out/*.txt", "a/**/x.md"])
    entered = [name for name in ("out", "out/deep", "a", "a/b/c", "other") if globs.may_enter(name)]
    assert entered == ["out", "a", "a/b/c"]
    (folder.path / "locked").mkdir()
    (folder.path / "out").mkdir()
    (folder.path / "out" / "a.txt").write_text("")
    place(folder)
    assert folder.made(globs) == ["out/a.txt"]


def test_a_folder_without_permissions_is_removed_with_all_in_it(folder: WorkFolder) -> None:
    place(folder)
    locked = folder.path / "locked" / "deep"
    locked.mkdir(parents=True)
    (locked / "a.txt").write_text("")
    os.chmod(locked, 0)
    os.chmod(locked.parent, 0)
    outside = folder.path.parent.parent / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("")
    (folder.path / "link").symlink_to(outside)
    folder.remove()
    assert not folder.path.exists()
    assert not folder.artifacts.exists()
    assert (outside / "kept.txt").exists()


@pytest.fixture
def shared(tmp_path: Path) -> Callable[[str], SharedFolder]:
    def build(attempt: str) -> SharedFolder:
        artifacts = f"{tmp_path}/work/{attempt}.artifacts"
        return SharedFolder(f"{tmp_path}/workspaces/w", artifacts, ("*.txt",))

    return build


def test_in_a_shared_folder_only_what_this_attempt_made_is_its_own(
    shared: Callable[[str], SharedFolder],
) -> None:
    first = shared("a.1")
    first.create()
    first.begin()
    (first.path / "a.txt").write_text("a")
    (first.path / "scratch").write_text("s")
    assert first.made(Globs(["*.txt"])) == ["a.txt"]
    first.remove()
    second = shared("b.1")
    second.create()
    second.begin()
    (second.path / "b.txt").write_text("b")
    assert second.made(Globs(["*.txt"])) == ["b.txt"]
    (second.path / "a.txt").write_text("longer")
    assert second.made(Globs(["*.txt"])) == ["a.txt", "b.txt"]
    assert (second.path / "scratch").exists()


def test_what_an_attempt_left_that_was_cut_off_is_removed_and_the_rest_stays(
    shared: Callable[[str], SharedFolder],
) -> None:
    first = shared("a.1")
    first.create()
    (first.path / "old.txt").write_text("old")
    first.begin()
    (first.path / "half.txt").write_text("ha")
    (first.path / "scratch").write_text("s")
    # Its process is killed: it neither removes nor discards anything.
    again = shared("a.2")
    again.create()
    again.begin()
    assert sorted(path.name for path in again.path.iterdir()) == ["old.txt", "scratch"]
    assert again.made(Globs(["*.txt"])) == []


def test_inputs_are_placed_in_a_shared_folder_whatever_lies_there(
    shared: Callable[[str], SharedFolder],
) -> None:
    folder = shared("a.1")
    folder.create()
    (folder.path / "a.txt").mkdir()
    (folder.path / "deep").symlink_to("/etc")
    (folder.path / "same.txt").write_bytes(CONTENT)
    inode = (folder.path / "same.txt").stat().st_ino
    place(folder, "a.txt", "deep/b.txt", "same.txt")
    assert (folder.path / "a.txt").read_bytes() == CONTENT
    assert (folder.path / "deep" / "b.txt").read_bytes() == CONTENT
    assert (folder.path / "same.txt").stat().st_ino == inode
    assert folder.made(Globs(["*.txt"])) == []


@pytest.mark.parametrize(
    ("ctime_ns", "after_ns", "shows"),
    [
        (5_000_000_001, 50_000_000, False),
        (5_000_000_001, 50_000_001, True),
        (5_000_000_000, 2_000_000_000, False),
        (5_000_000_000, 2_000_000_001, True),
    ],
    ids=["same tick", "later", "same whole second", "later, whole seconds"],
)
def test_a_later_change_shows_only_if_the_clock_of_the_filesystem_has_moved(
    ctime_ns: int, after_ns: int, shows: bool
) -> None:
    stamp = Stamp(device=1, inode=2, ctime_ns=ctime_ns, size_bytes=3)
    assert stamp.shows_change_after(ctime_ns + after_ns) is shows

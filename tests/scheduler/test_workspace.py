"""Which files the workspace reads again before a command starts, and which it trusts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orc.ledger import Ledger, open_ledger
from orc.ledger.events import FileRef
from orc.ledger.files.folder import Folder
from orc.ledger.secrets.masking import NO_MASK
from orc.projections import ReadModel
from orc.scheduler.workspace import Workspace, file_ref

CONTENT = b"kept\n"
FORGED = b"fake\n"
FILE = file_ref("demo/a.txt", CONTENT)
LATER_NS = 10_000_000_000


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "runs.db", projector=ReadModel(), mask=NO_MASK) as ledger:
        ledger.append_blobs([CONTENT])
        yield ledger


@pytest.fixture
def workspace(tmp_path: Path, ledger: Ledger) -> Workspace:
    found = Workspace(tmp_path / "run", project="demo", ledger=ledger, mask=NO_MASK)
    found.restore([FILE])
    return found


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the files that are read."""
    found: list[str] = []
    read = Folder.read

    def watched(folder: Folder, relative: str, **options: int) -> bytes | None:
        found.append(relative)
        return read(folder, relative, **options)

    monkeypatch.setattr(Folder, "read", watched)
    return found


def ages(monkeypatch: pytest.MonkeyPatch, by_ns: int) -> None:
    """Let the files be older by so much."""
    now: Callable[[], int] = time.time_ns
    monkeypatch.setattr("orc.scheduler.workspace.time.time_ns", lambda: now() + by_ns)


def path_of(workspace: Workspace, file: FileRef = FILE) -> Path:
    return workspace.folder / "outputs" / file.path


def forge(path: Path) -> None:
    """Write other bytes of the same size in place, and set the time back."""
    before = path.stat()
    for _ in range(1000):
        with path.open("r+b") as file:
            file.write(FORGED)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        if path.stat().st_ctime_ns != before.st_ctime_ns:
            return
        time.sleep(0.001)
    pytest.skip("the filesystem does not record when a file changes")


def test_an_unchanged_file_is_read_once_and_then_trusted(
    workspace: Workspace, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ages(monkeypatch, LATER_NS)
    for _ in range(3):
        workspace.restore([FILE])
    assert reads == [FILE.path]


def test_a_trusted_file_that_was_forged_in_place_is_restored(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ages(monkeypatch, LATER_NS)
    workspace.restore([FILE])
    forge(path_of(workspace))
    workspace.restore([FILE])
    assert path_of(workspace).read_bytes() == CONTENT


def test_a_file_that_changed_just_now_is_compared_again(
    workspace: Workspace, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed_ns = path_of(workspace).stat().st_ctime_ns
    monkeypatch.setattr("orc.scheduler.workspace.time.time_ns", lambda: changed_ns + 1_000_000)
    for _ in range(2):
        workspace.restore([FILE])
    assert reads == [FILE.path] * 2


def test_a_change_within_one_tick_of_a_coarse_clock_is_noticed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = Folder.stat

    def coarse(folder: Folder, relative: str) -> os.stat_result | None:
        found = stat(folder, relative)
        return None if found is None else _in_whole_seconds(found)

    monkeypatch.setattr(Folder, "stat", coarse)
    workspace.restore([FILE])
    before = path_of(workspace).stat()
    path_of(workspace).write_bytes(FORGED)
    os.utime(path_of(workspace), ns=(before.st_atime_ns, before.st_mtime_ns))
    workspace.restore([FILE])
    assert path_of(workspace).read_bytes() == CONTENT


def _in_whole_seconds(found: os.stat_result) -> os.stat_result:
    """As a filesystem reports it that records times in whole seconds."""
    names = {
        name: getattr(found, name)
        for name in dir(found)
        if name.startswith("st_") and name[3] != "_"
    }
    second = found.st_ctime_ns // 10**9
    return os.stat_result(tuple(found), {**names, "st_ctime_ns": second * 10**9})

"""Private folders in TMPDIR: what a killed process left is removed by the next one of its kind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from orc.cli.browse.opening import Opener
from orc.cli.doctor.leftover_files import find_private_leftovers
from orc.ledger.connection import source_to_read
from orc.ledger.files.private_folder import BROWSER_PAGE, COPY, KINDS, PrivateFolder
from tests.ledger.files.test_snapshot import exposed, logged

__all__ = ["exposed"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files in this test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def killed_after(action: Callable[[], object]) -> None:
    """Do it in a child process, which is then killed."""
    child = os.fork()
    if child == 0:
        kept = action()
        os.kill(os.getpid(), signal.SIGKILL)
        del kept
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


def names_in(place: Path) -> set[str]:
    return {path.name.split(".")[1] for path in place.iterdir()}


def test_a_private_folder_is_its_owners_alone_and_is_removed(place: Path) -> None:
    folder = PrivateFolder(COPY)
    assert {path.stat().st_mode & 0o777 for path in (folder.path, folder.path.parent)} == {0o700}
    (folder.path / "lock").touch()
    folder.cleanup()
    folder.cleanup()
    assert list(place.iterdir()) == []


def test_the_copy_of_a_killed_reader_is_removed_by_the_next_one(exposed: Path, place: Path) -> None:
    with closing(logged(exposed)):
        killed_after(lambda: source_to_read(exposed))
        assert names_in(place) == {COPY}
        source = source_to_read(exposed)
        assert len(list(place.iterdir())) == 1
        # A living reader keeps its copy.
        source_to_read(exposed).close()
        assert source.path.exists()
        source.close()
    assert list(place.iterdir()) == []


def test_the_page_of_a_killed_server_is_removed_by_the_next_one(place: Path) -> None:
    opener = Opener()
    killed_after(lambda: opener._write("http://127.0.0.1:1/"))
    assert names_in(place) == {BROWSER_PAGE}
    opener._write("http://127.0.0.1:1/")
    assert len(list(place.iterdir())) == 1
    opener.remove_files()
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_doctor_names_what_killed_processes_left(kind: str, place: Path) -> None:
    assert find_private_leftovers() == []
    killed_after(lambda: PrivateFolder(kind))
    living = PrivateFolder(next(other for other in KINDS if other != kind))
    (left,) = find_private_leftovers()
    assert left.path.name.startswith(f".{kind}.")
    assert str(left.path) in left.remedy
    living.cleanup()


def test_what_others_put_there_is_left_alone(place: Path) -> None:
    foreign = place / f".{COPY}.7-7.orc-tmp"
    foreign.mkdir()
    (foreign / "precious").touch()
    PrivateFolder(COPY).cleanup()
    assert (foreign / "precious").exists()

"""Delivery to the author's folder overwrites no unknown file and follows no link."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orc.ledger import Ledger
from orc.ledger.files.folder import UnsafePath
from orc.ledger.files.temporary import hold
from orc.projections import deliver
from orc.scheduler.core.commands import Settle
from tests.builders import JOB, step
from tests.projections.support import OTHER, begun, open_in, write


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with two jobs of one project; the second wrote the file of the first again."""
    files = {"demo/main.py": b"old\n", "demo/deep/er.txt": b"same\n"}
    first = begun(step("a"), job_id=OTHER).start("a").succeed("a", files=files).tell(Settle())
    files["demo/main.py"] = b"new\n"
    second = begun(step("a")).start("a").succeed("a", files=files).tell(Settle())
    with open_in(tmp_path) as opened:
        write(opened, first, second)
        yield opened


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "generated"


def test_files_arrive_without_the_projects_folder(ledger: Ledger, target: Path) -> None:
    written: list[str] = []
    assert deliver(ledger, JOB, target, force=False, on_written=written.append) == []
    assert (target / "main.py").read_bytes() == b"new\n"
    assert (target / "deep/er.txt").read_bytes() == b"same\n"
    assert written == ["deep/er.txt", "main.py"]


def test_a_second_delivery_writes_nothing(ledger: Ledger, target: Path) -> None:
    deliver(ledger, JOB, target, force=False)
    written: list[str] = []
    deliver(ledger, JOB, target, force=False, on_written=written.append)
    assert written == []


def test_an_earlier_jobs_file_is_replaced(ledger: Ledger, target: Path) -> None:
    deliver(ledger, OTHER, target, force=False)
    assert deliver(ledger, JOB, target, force=False) == []
    assert (target / "main.py").read_bytes() == b"new\n"


def test_a_file_that_the_ledger_does_not_know_is_left_alone(ledger: Ledger, target: Path) -> None:
    target.mkdir()
    (target / "main.py").write_bytes(b"the author's work\n")
    assert deliver(ledger, JOB, target, force=False) == ["main.py"]
    assert (target / "main.py").read_bytes() == b"the author's work\n"
    assert (target / "deep/er.txt").exists()


def test_force_overwrites_it(ledger: Ledger, target: Path) -> None:
    target.mkdir()
    (target / "main.py").write_bytes(b"the author's work\n")
    assert deliver(ledger, JOB, target, force=True) == []
    assert (target / "main.py").read_bytes() == b"new\n"


@pytest.mark.parametrize("force", [False, True])
def test_a_linked_folder_on_the_way_is_refused(
    ledger: Ledger, target: Path, tmp_path: Path, force: bool
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target.mkdir()
    (target / "deep").symlink_to(outside)
    with pytest.raises(UnsafePath):
        deliver(ledger, JOB, target, force=force)
    assert list(outside.iterdir()) == []


def test_a_link_to_another_file_is_left_alone(ledger: Ledger, target: Path, tmp_path: Path) -> None:
    outside = tmp_path / "precious"
    outside.write_bytes(b"precious\n")
    target.mkdir()
    (target / "main.py").symlink_to(outside)
    assert deliver(ledger, JOB, target, force=False) == ["main.py"]
    assert (target / "main.py").is_symlink()


def test_force_replaces_a_link_and_not_what_it_points_to(
    ledger: Ledger, target: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "precious"
    outside.write_bytes(b"precious\n")
    target.mkdir()
    (target / "main.py").symlink_to(outside)
    assert deliver(ledger, JOB, target, force=True) == []
    assert outside.read_bytes() == b"precious\n"
    assert not (target / "main.py").is_symlink()


def test_a_folder_with_the_files_name_is_kept(ledger: Ledger, target: Path) -> None:
    (target / "main.py").mkdir(parents=True)
    (target / "main.py/notes").write_bytes(b"mine\n")
    with pytest.raises(OSError):
        deliver(ledger, JOB, target, force=False)
    assert (target / "main.py/notes").read_bytes() == b"mine\n"


def test_only_temporary_files_of_a_killed_delivery_are_removed(
    ledger: Ledger, target: Path
) -> None:
    # The process id says nothing: another process may have it by now, or another machine.
    pid = os.getpid()
    left = [f".main.py.{pid}-7.orc-tmp", f"deep/.er.txt.{pid}-7.orc-tmp"]
    alive = f".main.py.{pid}-8.orc-tmp"
    others = [alive, f".notes.py.{pid}-7.orc-tmp", f"other/.er.txt.{pid}-7.orc-tmp"]
    for name in [*left, *others]:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(b"half")
    with (target / alive).open("rb") as held:
        assert hold(held.fileno())
        deliver(ledger, JOB, target, force=False)
    there = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert there == {"main.py", "deep/er.txt", *others}

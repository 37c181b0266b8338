"""The files that a spec ships are read and recorded at submission."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

import orc
from orc.cli.jobs.caller import ship as ship_module
from orc.cli.jobs.caller.ship import read_shipped
from orc.cli.jobs.caller.spec_files import SpecFiles
from orc.cli.jobs.prepare import Submission, prepare, prepare_run
from orc.ledger.digest import digest_bytes
from orc.scheduler.core.errors import SpecError


def shipped(folder: Path, *patterns: str) -> dict[str, tuple[str, int, str | None]]:
    found = read_shipped(SpecFiles(folder), patterns)
    return {file.path: (file.sha256, file.size_bytes, file.mode) for file in found}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scripts" / "deep").mkdir(parents=True)
    for name in ("train.py", "notes.txt", "scripts/a.sh", "scripts/deep/b.sh"):
        (tmp_path / name).write_text(name)
    (tmp_path / "scripts/a.sh").chmod(0o755)
    return tmp_path


def test_the_files_that_match_are_read_with_their_modes(folder: Path) -> None:
    found = shipped(folder, "*.py", "scripts/**")
    assert list(found) == ["scripts/a.sh", "scripts/deep/b.sh", "train.py"]
    assert found["scripts/a.sh"] == (digest_bytes(b"scripts/a.sh"), 12, "755")
    assert found["train.py"] == (digest_bytes(b"train.py"), 8, None)


def test_links_are_neither_followed_nor_shipped(folder: Path, tmp_path: Path) -> None:
    (folder / "scripts/out").symlink_to("/etc")
    (folder / "scripts/secret.sh").symlink_to(folder / "notes.txt")
    os.mkfifo(folder / "scripts/pipe")
    assert set(shipped(folder, "scripts/**")) == {"scripts/a.sh", "scripts/deep/b.sh"}


def test_a_pattern_without_a_file_is_a_problem_of_the_spec(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"has no file that matches 'trian\.py'"):
        shipped(folder, "*.txt", "trian.py")


def test_too_many_or_too_large_files_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship_module, "FILES_MAX", 3)
    with pytest.raises(ValueError, match="4 files match; the maximum is 3"):
        shipped(folder, "**")
    monkeypatch.setattr(ship_module, "BYTES_MAX", 10)
    with pytest.raises(ValueError, match="more than 10 B together"):
        shipped(folder, "*.txt", "*.py")


def test_a_pattern_that_only_a_link_matches_says_so(folder: Path) -> None:
    (folder / "link.sh").symlink_to("train.py")
    with pytest.raises(ValueError, match=r"'\*\.sh': link\.sh is a link"):
        shipped(folder, "*.sh")


def test_a_file_whose_name_is_not_allowed_is_refused(folder: Path) -> None:
    (folder / "a\nb.py").write_text("")
    with pytest.raises(ValueError, match="not allowed in a file name"):
        shipped(folder, "*.py")


def test_the_contents_are_blobs_of_the_job(folder: Path) -> None:
    spec = folder / "spec.yaml"
    spec.write_text("project: p\nship: ['*.py']\nsteps: {a: {value: 1}}\n")
    job = orc.run(spec, db=folder / "runs.db")
    assert job.status == "succeeded"
    with sqlite3.connect(folder / "runs.db") as connection:
        names = {row[0] for row in connection.execute("SELECT sha256 FROM blobs")}
    assert digest_bytes(b"train.py") in names


def test_an_executor_that_this_machine_does_not_know_is_refused(folder: Path) -> None:
    submission = Submission(text="project: p\nsteps: {a: {run: date, executor: cluster}}\n")
    with pytest.raises(SpecError, match="unknown executor 'cluster'"):
        prepare_run(submission, {}, database=folder / "runs.db")
    _, definition = prepare(submission, {}, executor_names=None)
    assert definition.steps[0].executor == "cluster"

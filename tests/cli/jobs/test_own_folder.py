"""The run folder that a ledger names is used only if it is the job's already."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.cli.command_line import PASSING, orc, write
from tests.projections.support import tamper


def _folder(job: str = "latest") -> Path:
    return Path(orc("show", job, "--json").json()["folder"])


@pytest.fixture
def job(here: Path) -> str:
    said = orc("run", write("spec.yaml", PASSING), "--runs-dir", "elsewhere", "--json")
    return str(said.lines()[-1]["job_id"])


def test_a_job_keeps_the_folder_that_was_chosen_for_it(job: str, here: Path) -> None:
    assert _folder() == here / "elsewhere" / job
    (here / "elsewhere" / job / "outputs/passing/first.txt").unlink()
    assert orc("verify").code == 5
    assert orc("export", job).code == 0
    assert orc("verify").code == 0
    assert not (here / "runs").exists()


def test_a_submitted_fork_keeps_the_folder_that_was_chosen_for_it(job: str, here: Path) -> None:
    fork = orc("fork", job, "--no-run", "--runs-dir", "third", "--json").lines()[0]["job_id"]
    assert orc("resume", fork).code == 0
    assert (here / "third" / fork / "manifest.json").exists()
    assert not (here / "runs").exists()


def test_without_its_folder_a_job_is_published_beside_the_ledger(job: str, here: Path) -> None:
    shutil.rmtree(here / "elsewhere")
    assert orc("export", job).code == 0
    assert _folder() == here / "runs" / job
    assert (here / "runs" / job / "manifest.json").exists()
    assert not (here / "elsewhere").exists()


@pytest.mark.parametrize(
    "kind", ["link", "open to others", "another job", "another ledger", "empty"]
)
def test_a_folder_that_is_not_the_jobs_is_not_used(job: str, here: Path, kind: str) -> None:
    folder = here / "elsewhere" / job
    lines = folder / "events.jsonl"
    if kind == "link":
        folder.rename(here / "elsewhere" / "real")
        folder.symlink_to(here / "elsewhere" / "real")
    elif kind == "open to others":
        folder.chmod(0o777)
    elif kind == "empty":
        shutil.rmtree(folder)
        folder.mkdir()
    else:
        first = json.loads(lines.read_text().partition("\n")[0])
        field = {"another job": "job_id", "another ledger": "hash"}[kind]
        lines.write_text(json.dumps(first | {field: "0" * 64}) + "\n")
    before = {path: path.stat().st_mtime_ns for path in (here / "elsewhere").rglob("*")}
    assert _folder() == here / "runs" / job
    assert orc("export", job).code == 0
    assert orc("prune", "--job", job, "--yes", "--files").code == 0
    assert {path: path.stat().st_mtime_ns for path in (here / "elsewhere").rglob("*")} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_is_not_used(job: str, here: Path) -> None:
    os.chown(here / "elsewhere" / job, 65534, 65534)
    assert _folder() == here / "runs" / job


def test_a_planted_folder_is_not_used(job: str, here: Path) -> None:
    (here / "precious").mkdir()
    tamper(here / "runs.db", f"UPDATE jobs SET runs_dir = '{here / 'precious'}'")
    assert orc("export", job).code == 0
    assert list((here / "precious").iterdir()) == []
    with sqlite3.connect(here / "runs.db") as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (1,)

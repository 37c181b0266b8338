"""The run folder that a ledger names is used only if it is the job's already."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orc.cli.jobs.own_folder import choose_folder
from orc.ledger.errors import CorruptLedger
from tests.cli.command_line import PASSING, orc, write
from tests.processes import run_orc
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


def test_a_copy_beside_its_original_leaves_the_folder_of_the_original(job: str, here: Path) -> None:
    folder = here / "elsewhere" / job
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shutil.copy("runs.db", "copy.db")
    assert orc("rerun", job, "--step", "first", "--db", "copy.db").code == 0
    assert orc("export", job, "--db", "copy.db").code == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert orc("verify").code == 0


def test_a_folder_that_was_removed_is_published_in_its_place_again(job: str, here: Path) -> None:
    shutil.rmtree(here / "elsewhere")
    assert orc("export", job).code == 0
    assert (here / "elsewhere" / job / "manifest.json").exists()
    assert not (here / "runs").exists()


@pytest.mark.parametrize("is_default", [True, False])
@pytest.mark.parametrize(
    "command",
    [("export",), ("prune", "--yes", "--files", "--job"), ("cancel",)],
    ids=lambda command: command[0],
)
def test_a_copy_of_a_ledger_never_changes_the_folders_of_the_original(
    command: tuple[str, ...], is_default: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    monkeypatch.chdir(original)
    options = () if is_default else ("--runs-dir", str(tmp_path / "elsewhere"))
    job = str(orc("run", write("spec.yaml", PASSING), *options, "--json").lines()[-1]["job_id"])
    shutil.copytree(original, copy)
    runs = original / "runs" if is_default else tmp_path / "elsewhere"
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*")}

    monkeypatch.chdir(copy)
    assert orc(*command, job).code in (0, 8)
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*")} == before
    monkeypatch.chdir(original)
    assert orc("verify").code == 0


@pytest.mark.parametrize("kind", ["link", "open to others", "another job", "another ledger"])
def test_a_folder_that_is_not_the_jobs_is_not_used(job: str, here: Path, kind: str) -> None:
    folder = here / "elsewhere" / job
    lines = folder / "events.jsonl"
    if kind == "link":
        folder.rename(here / "elsewhere" / "real")
        folder.symlink_to(here / "elsewhere" / "real")
    elif kind == "open to others":
        folder.chmod(0o777)
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


def test_a_job_that_was_killed_before_its_folder_had_events_goes_on_there(here: Path) -> None:
    write("spec.yaml", PASSING)
    at = {"ORC_FAILPOINTS": "ledger.after_commit@2=kill"}
    run_orc("run", "spec.yaml", "--runs-dir", "elsewhere", "-q", cwd=here, **at)
    assert not list((here / "elsewhere").glob("*/events.jsonl"))
    assert orc("resume", "latest").code == 0
    assert len(list((here / "elsewhere").glob("*/events.jsonl"))) == 1
    assert not (here / "runs").exists()


def test_the_folder_in_the_given_place_is_preferred_if_both_are_the_jobs(
    job: str, here: Path
) -> None:
    shutil.copytree(here / "elsewhere" / job, here / "runs" / job)
    assert _folder() == here / "runs" / job
    (here / "runs" / job / "events.jsonl").unlink()
    assert _folder() == here / "elsewhere" / job


def test_a_job_without_a_recorded_folder_is_in_the_given_place(job: str, here: Path) -> None:
    with closing(sqlite3.connect(here / "runs.db")) as connection:
        for recorded in (None, ""):
            chosen = choose_folder(
                connection, here / "runs.db", job, recorded, here / "given", use="read"
            )
            assert chosen == here / "given" / job


def test_an_imported_job_is_in_the_given_place(job: str, here: Path) -> None:
    assert orc("bundle", job, "job.bundle").code == 0
    assert orc("import", "job.bundle", "--db", "other.db").code == 0
    recorded = str(here / "elsewhere")
    with closing(sqlite3.connect(here / "other.db")) as connection:
        chosen = choose_folder(
            connection, here / "other.db", job, recorded, here / "given", use="read"
        )
    assert chosen == here / "given" / job


def test_an_invalid_id_is_refused_in_the_name_of_the_ledger(job: str, here: Path) -> None:
    with (
        closing(sqlite3.connect(here / "runs.db")) as connection,
        pytest.raises(CorruptLedger, match=r"^the ledger: "),
    ):
        choose_folder(connection, here / "runs.db", "../x", None, here / "given", use="read")

"""A run that is killed at any moment and resumed ends like a run without a kill."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.crash.thirty_steps import (
    Result,
    check_after_crashes,
    environment,
    read_result,
    write_spec,
)
from tests.processes import WAIT_S, end_process, run_orc, start_orc

MOMENTS = 124
"""With the kills of resumes, more than two hundred kills in all."""

QUICK_MOMENTS = 2
CHANGES = 60
"""About how many changes of steps a whole run prints: a start and an end each."""


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The result of the job without a kill."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    write_spec(folder)
    ended = run_orc("run", "spec.yaml", "-q", cwd=folder, **environment(folder))
    assert ended.returncode == 0, ended.stderr
    result = read_result(folder)
    assert len(result.outputs) == 30
    return result


def run_and_kill(folder: Path, *arguments: str, changes: int, delay_s: float) -> None:
    """Kill `orc` shortly after it has printed this many changes; it may end before that."""
    process = start_orc(*arguments, "--json", cwd=folder, **environment(folder))
    try:
        assert process.stdout is not None
        for _ in range(changes):
            if not process.stdout.readline():
                break
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        process.wait(WAIT_S)
    finally:
        end_process(process)


def crash_and_resume(folder: Path, *, seed: int, moments: int) -> None:
    """Kill the run in the `seed`-th part of its duration and resume it; some resumes are killed too."""
    chance = random.Random(seed)
    write_spec(folder)
    changes = 1 + int((seed + chance.random()) * CHANGES / moments)
    run_and_kill(folder, "run", "spec.yaml", changes=changes, delay_s=chance.uniform(0, 0.03))
    for _ in range(chance.choice((0, 0, 1, 2))):
        again = chance.randint(0, 20)
        run_and_kill(folder, "resume", "latest", changes=again, delay_s=chance.uniform(0, 0.2))
    ended = run_orc("resume", "latest", cwd=folder, **environment(folder))
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("seed", range(QUICK_MOMENTS))
def test_a_killed_and_resumed_job_ends_like_an_uninterrupted_one(
    tmp_path: Path, uninterrupted: Result, seed: int
) -> None:
    crash_and_resume(tmp_path, seed=seed, moments=QUICK_MOMENTS)
    check_after_crashes(tmp_path, as_in=uninterrupted)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(MOMENTS))
def test_a_job_killed_at_any_of_many_moments_ends_like_an_uninterrupted_one(
    tmp_path: Path, uninterrupted: Result, seed: int
) -> None:
    crash_and_resume(tmp_path, seed=seed, moments=MOMENTS)
    check_after_crashes(tmp_path, as_in=uninterrupted)


@pytest.mark.parametrize("delay_s", [0.2, 0.5])
def test_a_run_killed_before_its_job_exists_does_not_hinder_the_next_run(
    tmp_path: Path, uninterrupted: Result, delay_s: float
) -> None:
    write_spec(tmp_path)
    run_and_kill(tmp_path, "run", "spec.yaml", changes=0, delay_s=delay_s)
    resumed = run_orc("resume", "latest", cwd=tmp_path, **environment(tmp_path))
    if resumed.returncode == 6:
        assert "orc run SPEC" in resumed.stderr or "run a spec first" in resumed.stderr
        again = run_orc("run", "spec.yaml", cwd=tmp_path, **environment(tmp_path))
        assert again.returncode == 0, again.stderr
    else:
        assert resumed.returncode == 0, resumed.stderr
    check_after_crashes(tmp_path, as_in=uninterrupted)


def killed_halfway(folder: Path) -> None:
    write_spec(folder)
    run_and_kill(folder, "run", "spec.yaml", changes=30, delay_s=0.0)


def test_without_its_run_folder_a_killed_job_resumes_from_the_ledger_alone(
    tmp_path: Path, uninterrupted: Result
) -> None:
    killed_halfway(tmp_path)
    shutil.rmtree(tmp_path / "runs")
    ended = run_orc("resume", "latest", cwd=tmp_path, **environment(tmp_path))
    assert ended.returncode == 0, ended.stderr
    check_after_crashes(tmp_path, as_in=uninterrupted)


@pytest.mark.parametrize("harm", ["edited", "deleted"])
def test_a_killed_job_resumes_from_the_spec_as_it_was_submitted(
    tmp_path: Path, uninterrupted: Result, harm: str
) -> None:
    killed_halfway(tmp_path)
    for name in ("spec.yaml", "spec.replay.yaml"):
        if harm == "deleted":
            (tmp_path / name).unlink()
        else:
            (tmp_path / name).write_text("project: other\nsteps: {x: {run: exit 1}}\n")
    ended = run_orc("resume", "latest", cwd=tmp_path, **environment(tmp_path))
    assert ended.returncode == 0, ended.stderr
    check_after_crashes(tmp_path, as_in=uninterrupted)


def test_a_killed_job_resumes_from_another_folder_and_another_environment(
    tmp_path: Path, uninterrupted: Result
) -> None:
    killed_halfway(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    ended = run_orc(
        "resume",
        "latest",
        "--db",
        str(tmp_path / "runs.db"),
        cwd=elsewhere,
        PROVIDER="openai",
        **environment(tmp_path),
    )
    assert ended.returncode == 0, ended.stderr
    check_after_crashes(tmp_path, as_in=uninterrupted)
    assert list(elsewhere.iterdir()) == []


def test_a_killed_job_is_shown_as_interrupted_and_not_as_running(tmp_path: Path) -> None:
    killed_halfway(tmp_path)
    listed = json.loads(run_orc("list", "--json", cwd=tmp_path).stdout)
    shown = json.loads(run_orc("show", "latest", "--json", cwd=tmp_path).stdout)
    assert (listed["status"], shown["status"]) == ("interrupted", "interrupted")

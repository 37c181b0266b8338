"""A job that a process in the background is about to run: it is `starting`, and can be cancelled."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from orc import api
from orc.cli.jobs import cancel
from orc.cli.jobs.places import Places
from orc.ledger import LedgerReader, OwnerLock
from orc.ledger.files.runner_log import BACKGROUND, new_runner_log, read_runner
from tests.cli.command_line import orc, write
from tests.projections.pages.visits import FakeActions, Visit, visit

SPEC = "project: begun\nsteps: {a: {run: 'test -e ok', cwd: spec}, b: {needs: a, value: 1}}\n"


@pytest.fixture(params=["submitted", "failed"])
def job(request: pytest.FixtureRequest, here: Path) -> str:
    spec = write("spec.yaml", SPEC)
    if request.param == "submitted":
        return str(orc("submit", spec, "--json").json()["job_id"])
    assert orc("run", spec, "--quiet").code == 1
    return str(orc("show", "latest", "--json").json()["job_id"])


@contextmanager
def starting(here: Path, job: str) -> Iterator[None]:
    """A process in the background that has not taken its job yet."""
    with LedgerReader.open(here / "runs.db") as reader:
        version = reader.head(job).version
    log = new_runner_log(
        here / "runs.db", job, command=["orc"], version=version, started_at="2026-01-02T03:04:05Z"
    )
    assert log is not None
    yield
    log.close()


def status_of(job: str) -> str:
    return str(orc("show", job, "--json").json()["status"])


def seen(here: Path, *addresses: str) -> list[str]:
    """The texts of pages."""
    found: list[str] = []

    async def then(visitor: Visit) -> None:
        for address in addresses:
            found.append((await visitor.client.get(address)).text)

    visit(here / "runs.db", addresses[0], FakeActions(), then)
    return found


def test_a_job_is_starting_wherever_its_status_is_shown(here: Path, job: str) -> None:
    stored = status_of(job)
    with starting(here, job):
        assert status_of(job) == api.job(job).status == "starting"
        assert [one.status for one in api.jobs()] == ["starting"]
        assert "a process in the background is starting" in orc("show", job).out
        if stored != "failed":
            assert "a process in the background is starting" in orc("why", job, "b").out
        for status, count in (("starting", 1), (stored, 0)):
            assert len(orc("list", "--status", status, "--json").lines()) == count
        base = "/-/orc/runs"
        home, page, actions, row, other = seen(
            here,
            f"{base}?status=starting",
            f"{base}/{job}",
            f"{base}/act/{job}",
            f"/runs/jobs/{job}",
            f"{base}?status={stored}",
        )
        for text in (home, page, actions):
            assert 'data-status="starting"' in text
        assert f'<tr data-job="{job}"' not in other
        for text in (page, actions):
            assert "is starting to run the job" in text
            assert 'value="resume"' not in text
            assert "do=rerun" not in text
        assert 'id="rerun"' not in actions
        assert 'id="cancel"' in actions
        assert re.search(r">starting</span>", row)
    assert status_of(job) == stored
    assert 'value="resume"' in seen(here, f"/-/orc/runs/act/{job}")[0]


def test_a_process_that_has_recorded_something_is_not_starting(here: Path, job: str) -> None:
    with starting(here, job):
        orc("resume", job, "--quiet")
        # It has ended, and its process not yet.
        assert status_of(job) == "failed"


def cancelled(here: Path, job: str) -> Any:
    places = Places.find(database=here / "runs.db", environment={})

    async def call() -> Any:
        with trio.fail_after(5):
            return await cancel.cancel(job, places=places)

    return trio.run(call)


def test_a_cancel_does_not_wait_for_a_process_that_is_starting(here: Path, job: str) -> None:
    stored = status_of(job)
    with starting(here, job):
        done = cancelled(here, job)
        assert done.is_withdrawn
        assert (done.status, done.had_ended) == (
            ("failed", True) if stored == "failed" else ("cancelled", False)
        )
        assert status_of(job) == done.status
        runner = read_runner(here / "runs.db", job)
        assert runner is not None
        assert (runner.is_running, runner.is_withdrawn) == (True, True)
        before = api.job(job)
        # What the process does when it has the job at last.
        said = subprocess.run(
            [sys.executable, "-P", "-m", "orc.cli.main", "resume", job],
            env={**os.environ, BACKGROUND: "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (said.returncode, "nothing was run" in said.stderr) == (2, True)
        assert api.job(job) == before
    (here / "ok").touch()
    assert orc("resume", job, "--quiet").code == 0


def test_a_process_that_has_the_job_gets_the_cancel(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancel, "_START_WAIT_S", 0.0)
    assert orc("run", write("spec.yaml", SPEC), "--quiet").code == 1
    job = orc("show", "latest", "--json").json()["job_id"]
    lock = OwnerLock(here / "runs.db", job)
    with starting(here, job):
        lock.acquire()
        said = orc("cancel", job)
        assert said.code == 75
        assert f"when it has, `orc cancel {job}`" in said.err
        lock.release()


def test_the_command_says_what_became_of_the_start(here: Path, job: str) -> None:
    stored = status_of(job)
    with starting(here, job):
        said = orc("cancel", job)
    assert said.code == 0
    assert ("is not run again" if stored == "failed" else "is cancelled") in said.err

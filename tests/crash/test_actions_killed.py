"""Actions on pages, with the server or the runner killed: nothing is lost or done twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orc.cli.jobs.acting import runner
from orc.cli.jobs.acting.browse_actions import BrowserActions
from orc.cli.jobs.places import Places
from orc.cli.terminal.problems import problem_lines
from orc.ledger import failpoints
from orc.ledger.files.locks import has_owner
from orc.ledger.files.runner_log import read_runner
from orc.projections.pages.actions import ForkRequest, StartRequest
from orc.projections.pages.decisions import RequestRefused
from tests.cli.command_line import orc, work_in, write
from tests.crash.page_server import PageServer
from tests.processes import WAIT_S, event_types, has_event, read_events, wait_until

SLOW = """\
project: slow
inputs: {word: {default: one}}
steps:
  before: {value: "${{ inputs.word }}"}
  slow:
    needs: before
    cwd: spec
    run: ": > there; until [ -e go ]; do sleep 0.02; done; echo done"
  gate: {needs: slow, approval: May I?}
  after: {needs: gate, value: "${{ steps.slow.output }}"}
"""
QUICK = """\
project: quick
inputs: {word: {default: one}}
steps:
  first: {value: "${{ inputs.word }}"}
  second: {needs: first, run: "test -e ok", cwd: spec}
"""
GATE = "project: asks\nsteps: {gate: {approval: May I?}, after: {needs: gate, value: 1}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return work_in(tmp_path, monkeypatch)


def actions_in(folder: Path) -> BrowserActions:
    places = Places.find(database=folder / "runs.db", environment={})
    return BrowserActions(places, folder, problem_lines)


def owner_of(folder: Path) -> int:
    """The process that runs the job now, by the last event of a run's begin."""
    begins = [event for event in read_events(folder / "runs.db") if "owner" in event["data"]]
    return int(begins[-1]["data"]["owner"]["pid"])


@pytest.fixture(scope="module", autouse=True)
def _are_waited_for() -> Iterator[None]:
    """The processes that this one has started are no longer its children at its end."""
    yield
    for process in runner._started:
        process.wait(WAIT_S)


@pytest.fixture
def runners(folder: Path) -> Iterator[Callable[[], int]]:
    """A function for the process that runs the job; those that a failed test leaves are ended."""
    yield lambda: owner_of(folder)
    (folder / "go").touch()
    database = folder / "runs.db"
    if database.exists():
        jobs = {event["job_id"] for event in read_events(database)}
        wait_until(lambda: not any(has_owner(database, job) for job in jobs))


def test_a_job_outlives_its_server_and_its_runner(folder: Path, runners: Callable[[], int]) -> None:
    write("slow.yaml", SLOW)
    orc("run", write("first.yaml", "project: first\nsteps: {a: {value: 1}}\n"), "--quiet")
    server = PageServer(folder)
    status, page = server.send("/specs/slow.yaml", **{"in.word": "two"})
    assert (status, "slow" in page) == (200, True)
    wait_until((folder / "there").exists)
    job = read_events(folder / "runs.db")[-1]["job_id"]
    running = runners()
    assert os.getsid(running) == running != os.getsid(server.process.pid)
    server.kill()

    server = PageServer(folder)
    assert "A process in the background has been running the job" in server.see(f"/{job}")
    status, page = server.send(f"/act/{job}", action="rerun", step="before")
    assert (status, f"process {running} on" in page) == (409, True)
    os.kill(running, signal.SIGKILL)
    wait_until(lambda: not has_owner(folder / "runs.db", job))
    assert "interrupted" in server.see(f"/{job}")

    (folder / "there").unlink()
    assert server.send(f"/act/{job}", action="resume")[0] == 200
    status, page = server.send(f"/act/{job}", action="resume")
    assert status == 409
    assert "is being run by" in page or "already being run" in page
    wait_until((folder / "there").exists)
    (folder / "go").touch()
    wait_until(lambda: has_event(folder / "runs.db", "job.waiting"))
    wait_until(lambda: not has_owner(folder / "runs.db", job))
    form = {"step": "gate", "option": "approve", "continue": "yes"}
    assert server.send(f"/decide/{job}", **form)[0] == 200
    wait_until(lambda: event_types(folder / "runs.db", job)[-1] == "job.succeeded")
    server.kill()
    types = event_types(folder / "runs.db", job)
    assert (types.count("step.succeeded"), types.count("job.resumed")) == (4, 2)
    assert orc("verify").code == 0


def test_a_running_job_is_cancelled_from_the_page(folder: Path, runners: Callable[[], int]) -> None:
    write("slow.yaml", SLOW)
    assert orc("submit", "slow.yaml", "--quiet").code == 0
    (job,) = {event["job_id"] for event in read_events(folder / "runs.db")}
    actions = actions_in(folder)
    actions.resume(job)
    wait_until((folder / "there").exists)
    actions.cancel(job, "enough <b>")
    wait_until(lambda: not has_owner(folder / "runs.db", job))
    ended = next(e for e in read_events(folder / "runs.db") if e["type"] == "job.cancelled")
    assert ended["data"]["reason"] == "enough <b>"


def test_the_page_shows_why_the_runner_did_not_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = "project: needs\nsteps: {a: {run: 'echo $MISSING_TOKEN', secrets: [MISSING_TOKEN]}}\n"
    write("spec.yaml", spec)
    monkeypatch.setenv("MISSING_TOKEN", "not-missing-yet")
    assert orc("run", "spec.yaml", "--quiet").code == 0
    monkeypatch.delenv("MISSING_TOKEN")
    database = folder / "runs.db"
    (first,) = {event["job_id"] for event in read_events(database)}
    job = actions_in(folder).fork(ForkRequest(first, "a", (), {}, ""))

    def is_over() -> bool:
        seen = read_runner(database, job)
        return seen is not None and not seen.is_running

    wait_until(is_over)
    seen = read_runner(database, job)
    assert seen is not None
    assert "MISSING_TOKEN" in seen.printed
    assert event_types(database, job) == ["job.submitted"]


def _start(actions: BrowserActions, job: str) -> object:
    return actions.start(StartRequest("quick.yaml", {"word": "two"}, None, ""))


def _fork(actions: BrowserActions, job: str) -> object:
    return actions.fork(ForkRequest(job, None, (), {"word": "two"}, ""))


def _rerun(actions: BrowserActions, job: str) -> object:
    actions.rerun(job, ("first",))
    return job


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("point", ["ledger.after_commit", "acting.recorded"])
@pytest.mark.parametrize("act", [_start, _fork, _rerun])
def test_a_server_that_was_killed_before_the_runner_leaves_a_job_to_resume(
    folder: Path, act: Callable[[BrowserActions, str], object], point: str
) -> None:
    write("quick.yaml", QUICK)
    orc("run", "quick.yaml", "--quiet")
    database = folder / "runs.db"
    (first,) = {event["job_id"] for event in read_events(database)}
    kill_at(point, lambda: act(actions_in(folder), first))
    job = read_events(database)[-1]["job_id"]
    assert (job == first) == (act is _rerun)
    (folder / "ok").touch()
    assert orc("resume", job, "--quiet").code == 0
    types = event_types(database, job)
    assert types.count("job.succeeded") == 1
    assert orc("verify").code == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_cancellation_that_was_killed_can_be_sent_again(folder: Path) -> None:
    write("gate.yaml", GATE)
    orc("run", "gate.yaml", "--quiet")
    job = read_events(folder / "runs.db")[-1]["job_id"]
    kill_at("signal.sent", lambda: actions_in(folder).cancel(job, "why"))
    actions_in(folder).cancel(job, "why")
    assert event_types(folder / "runs.db").count("job.cancelled") == 1
    actions_in(folder).cancel(job, "why")
    with pytest.raises(RequestRefused, match="no job"):
        actions_in(folder).cancel("job_000000000000", None)


def kill_at(point: str, act: Callable[[], object]) -> None:
    """Act in a process that is killed when it reaches the failpoint."""
    pid = os.fork()
    if pid == 0:
        try:
            failpoints.arm(f"{point}=kill")
            act()
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL

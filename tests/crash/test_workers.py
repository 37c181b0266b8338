"""Real workers share a queue: each job runs once, and a worker that dies leaves its job to another."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.processes import (
    WAIT_S,
    end_process,
    event_types,
    has_event,
    read_events,
    run_orc,
    start_orc,
    wait_until,
)

_QUICK = """
project: quick
steps:
  one: {run: 'echo "$ORC_JOB_ID" >> "$ORC_SPEC_DIR/ran"; sleep 0.05'}
  two: {needs: one, value: done}
"""
_SLOW = """
project: slow
steps:
  before: {run: 'echo "$ORC_JOB_ID" >> "$ORC_SPEC_DIR/before"'}
  slow:
    needs: before
    run: |
      echo "$ORC_JOB_ID" >> "$ORC_SPEC_DIR/there"
      until [ -e "$ORC_SPEC_DIR/go" ]; do sleep 0.02; done
"""
_STUBBORN = """
project: stubborn
steps:
  slow:
    run: |
      trap '' TERM
      : > "$ORC_SPEC_DIR/there"
      while true; do sleep 0.02; done
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `orc` in the test's folder; what still runs at the end is killed."""
    with ExitStack() as started:

        def start_here(*arguments: str, **extra: str) -> subprocess.Popen[str]:
            process = start_orc(*arguments, cwd=tmp_path, **extra)
            started.callback(end_process, process)
            return process

        yield start_here


def submit(folder: Path, spec: str, *options: str) -> str:
    (folder / "spec.yaml").write_text(spec)
    done = run_orc("submit", "spec.yaml", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def status_of(folder: Path, job_id: str) -> str:
    done = run_orc("show", job_id, "--json", cwd=folder)
    return str(json.loads(done.stdout)["status"])


def lines_of(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def run_ends(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Wait until the process has ended with exit code 0; its outputs."""
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    return out, err


def test_three_workers_share_twelve_jobs_and_each_job_runs_once(
    tmp_path: Path, start: Start
) -> None:
    jobs = [submit(tmp_path, _QUICK) for _ in range(12)]
    assert {status_of(tmp_path, job) for job in jobs[:2]} == {"queued"}
    workers = [start("work", "--stop-when-empty", "--json") for _ in range(3)]
    ended: list[dict[str, Any]] = []
    for worker in workers:
        out, _ = run_ends(worker)
        lines = [json.loads(line) for line in out.splitlines()]
        assert all(line["job_id"] in jobs for line in lines)
        ended += [line for line in lines if line["event"] == "done"]
    assert sorted(line["job_id"] for line in ended) == sorted(jobs)
    assert {line["status"] for line in ended} == {"succeeded"}
    assert sorted(lines_of(tmp_path / "ran")) == sorted(jobs)
    assert Counter(event_types(tmp_path / "runs.db"))["job.started"] == 12
    assert run_orc("verify", cwd=tmp_path).returncode == 0


def test_a_worker_takes_the_oldest_job_first(tmp_path: Path) -> None:
    jobs = [submit(tmp_path, _QUICK) for _ in range(3)]
    assert run_orc("work", "--stop-when-empty", cwd=tmp_path).returncode == 0
    assert lines_of(tmp_path / "ran") == jobs


def test_the_job_of_a_killed_worker_is_finished_by_another(tmp_path: Path, start: Start) -> None:
    job = submit(tmp_path, _SLOW)
    first = start("work")
    wait_until((tmp_path / "there").exists, what="the slow step")
    second = start("work", "--stop-when-empty")
    # The second worker sees that the job has an owner, and ends.
    run_ends(second)
    third = start("work")
    first.send_signal(signal.SIGKILL)
    first.wait(WAIT_S)
    wait_until(lambda: len(lines_of(tmp_path / "there")) == 2, what="the second attempt")
    (tmp_path / "go").touch()
    wait_until(lambda: status_of(tmp_path, job) == "succeeded", what="the end of the job")
    third.send_signal(signal.SIGTERM)
    run_ends(third)
    assert lines_of(tmp_path / "before") == [job]
    types = event_types(tmp_path / "runs.db")
    assert [type_ for type_ in types if type_.startswith("job.")] == [
        "job.submitted",
        "job.started",
        "job.resumed",
        "job.succeeded",
    ]


def test_twelve_jobs_end_although_one_of_three_workers_is_killed(
    tmp_path: Path, start: Start
) -> None:
    jobs = [submit(tmp_path, _QUICK.replace("0.05", "0.3")) for _ in range(12)]
    workers = [start("work", "-q") for _ in range(3)]
    wait_until(lambda: len(lines_of(tmp_path / "ran")) >= 4, what="four jobs")
    workers[0].send_signal(signal.SIGKILL)
    workers[0].wait(WAIT_S)
    wait_until(
        lambda: event_types(tmp_path / "runs.db").count("job.succeeded") == 12,
        within_s=WAIT_S,
        what="the end of the jobs",
    )
    for worker in workers[1:]:
        worker.send_signal(signal.SIGTERM)
        run_ends(worker)
    ran = Counter(lines_of(tmp_path / "ran"))
    assert set(ran) == set(jobs)
    # Only the step that the kill interrupted ran again.
    assert ran.total() <= 13
    types = Counter(event_types(tmp_path / "runs.db"))
    assert types["job.started"] == 12
    assert types["step.interrupted"] <= types["job.resumed"] <= 1
    assert types["step.succeeded"] == 24


def test_a_stopped_worker_returns_its_jobs_to_the_queue(tmp_path: Path, start: Start) -> None:
    jobs = [submit(tmp_path, _SLOW) for _ in range(3)]
    worker = start("work", "--jobs", "2")
    wait_until(lambda: len(lines_of(tmp_path / "there")) == 2, what="two slow steps")
    worker.send_signal(signal.SIGTERM)
    _, said = run_ends(worker)
    assert "stopping (SIGTERM)" in said
    assert said.count("it is back in the queue") == 2
    assert {status_of(tmp_path, job) for job in jobs} == {"queued"}
    stops = [e for e in read_events(tmp_path / "runs.db") if e["type"] == "job.interrupted"]
    assert [stop["data"] for stop in stops] == [{"signal": "SIGTERM", "queue": "back"}] * 2
    (tmp_path / "go").touch()
    run_ends(start("work", "--stop-when-empty"))
    assert {status_of(tmp_path, job) for job in jobs} == {"succeeded"}
    # A step that has succeeded does not run again.
    assert sorted(lines_of(tmp_path / "before")) == sorted(jobs)
    # The tables are those that are derived from all events at once.
    assert run_orc("verify", cwd=tmp_path).returncode == 0


def test_a_second_signal_stops_the_jobs_of_a_worker_without_grace(
    tmp_path: Path, start: Start
) -> None:
    job = submit(tmp_path, _STUBBORN)
    worker = start("work", "--json")
    wait_until((tmp_path / "there").exists, what="the slow step")
    worker.send_signal(signal.SIGTERM)
    assert worker.stderr is not None
    while "stopping" not in worker.stderr.readline():
        assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    out, _ = worker.communicate(timeout=8)
    assert worker.returncode == 0
    assert json.loads(out.splitlines()[-1])["next"] == "orc work"
    assert status_of(tmp_path, job) == "queued"


def test_a_worker_whose_time_is_over_returns_its_job(tmp_path: Path, start: Start) -> None:
    job = submit(tmp_path, _SLOW)
    _, said = run_ends(start("work", "--for", "1s"))
    assert "stopping (its time is over)" in said
    assert status_of(tmp_path, job) == "queued"
    (stop,) = [e for e in read_events(tmp_path / "runs.db") if e["type"] == "job.interrupted"]
    assert stop["data"] == {"queue": "back"}


def test_a_job_that_kills_its_workers_leaves_the_queue_after_three(
    tmp_path: Path, start: Start
) -> None:
    job = submit(tmp_path, _SLOW)
    for _ in range(3):
        # It dies after the start of the slow step, without any progress.
        (tmp_path / "there").unlink(missing_ok=True)
        worker = start("work")
        wait_until((tmp_path / "there").exists, what="the slow step")
        worker.send_signal(signal.SIGKILL)
        worker.wait(WAIT_S)
        assert status_of(tmp_path, job) == "queued"
    # The first one had made progress: `before` had succeeded.
    (tmp_path / "there").unlink()
    worker = start("work")
    wait_until((tmp_path / "there").exists, what="the slow step")
    worker.send_signal(signal.SIGKILL)
    worker.wait(WAIT_S)
    _, said = run_ends(start("work", "--stop-when-empty"))
    assert f"{job} interrupted" in said
    assert "it left the queue, since its workers died" in said
    assert status_of(tmp_path, job) == "interrupted"
    shown = run_orc("show", job, cwd=tmp_path).stdout
    assert "3 workers in a row died while they ran the job" in shown
    assert f"next: orc resume {job}" in shown
    assert "3 workers in a row died" in run_orc("why", job, "slow", cwd=tmp_path).stdout
    assert run_orc("verify", cwd=tmp_path).returncode == 0
    # No worker takes it any more, and a person can continue it.
    run_ends(start("work", "--stop-when-empty"))
    (tmp_path / "go").touch()
    assert run_orc("resume", job, cwd=tmp_path).returncode == 0


def test_a_job_that_a_person_runs_is_no_workers(tmp_path: Path, start: Start) -> None:
    """Neither one of `orc run`, nor one of the queue that `orc resume` took out of it."""
    (tmp_path / "spec.yaml").write_text(_SLOW)
    run = start("run", "spec.yaml")
    wait_until((tmp_path / "there").exists, what="the slow step")
    run.send_signal(signal.SIGKILL)
    run.wait(WAIT_S)
    queued = submit(tmp_path, _SLOW)
    resumed = start("resume", queued)
    wait_until(lambda: queued in lines_of(tmp_path / "there"), what="the second slow step")
    resumed.send_signal(signal.SIGINT)
    resumed.communicate(timeout=WAIT_S)
    assert resumed.returncode == 130
    before = len(read_events(tmp_path / "runs.db"))
    run_ends(start("work", "--stop-when-empty"))
    assert len(read_events(tmp_path / "runs.db")) == before
    assert status_of(tmp_path, queued) == "interrupted"


def test_a_worker_picks_up_a_job_that_is_submitted_while_it_waits(
    tmp_path: Path, start: Start
) -> None:
    first = submit(tmp_path, _QUICK)
    worker = start("work")
    wait_until(lambda: has_event(tmp_path / "runs.db", "job.succeeded"), what="the first job")
    second = submit(tmp_path, _QUICK)
    wait_until(lambda: lines_of(tmp_path / "ran") == [first, second], what="the second job")
    worker.send_signal(signal.SIGINT)
    run_ends(worker)


def test_a_worker_ends_when_its_ledger_is_removed(tmp_path: Path, start: Start) -> None:
    submit(tmp_path, _QUICK)
    worker = start("work")
    wait_until((tmp_path / "ran").exists, what="the job")
    (tmp_path / "runs.db").rename(tmp_path / "elsewhere.db")
    _, said = worker.communicate(timeout=WAIT_S)
    assert worker.returncode == 74, said
    assert "was deleted or replaced" in said


def test_tail_and_logs_follow_a_job_through_the_queue(tmp_path: Path, start: Start) -> None:
    """They wait for a worker, and go on when one has stopped."""
    job = submit(
        tmp_path, _SLOW.replace('echo "$ORC_JOB_ID" >>', 'echo said; echo "$ORC_JOB_ID" >>')
    )
    tail, logs = start("tail", job, "-f", "--json"), start("logs", job, "slow", "-f")
    assert tail.stdout is not None
    assert json.loads(tail.stdout.readline())["type"] == "job.submitted"
    worker = start("work")
    wait_until((tmp_path / "there").exists, what="the slow step")
    worker.send_signal(signal.SIGTERM)
    run_ends(worker)
    (tmp_path / "go").touch()
    run_ends(start("work", "--stop-when-empty"))
    out, _ = run_ends(tail)
    types = [json.loads(line)["type"] for line in out.splitlines()]
    assert [name for name in types if name.startswith("job.")] == [
        "job.started",
        "job.interrupted",
        "job.resumed",
        "job.succeeded",
    ]
    assert run_ends(logs)[0].count("said") == 2

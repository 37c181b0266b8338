"""A second process and a job: it cancels the job, is refused, or resumes it."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.processes import (
    WAIT_S,
    end_process,
    event_types,
    new_marker,
    processes_with,
    read_events,
    run_orc,
    start_orc,
    wait_until,
)

_SPEC = """
project: owned
steps:
  before: {run: echo before}
  slow:
    needs: before
    run: |
      if [ -e "$ORC_SPEC_DIR/go" ]; then echo done; exit 0; fi
      : > "$ORC_SPEC_DIR/there"
      sleep 300
  after: {needs: slow, run: echo after}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "spec.yaml").write_text(_SPEC)
    return tmp_path


@contextmanager
def running(folder: Path, *arguments: str, marker: str = "") -> Iterator[subprocess.Popen[str]]:
    """`orc run`, or another command, after its slow step has started."""
    (folder / "there").unlink(missing_ok=True)
    process = start_orc(*(arguments or ("run", "spec.yaml")), cwd=folder, ORC_MARK=marker)
    try:
        wait_until((folder / "there").exists, what="the slow step")
        yield process
    finally:
        end_process(process)


def check_goes_on(folder: Path) -> None:
    """Check that a resume ends the job, and that `before` does not run again."""
    (folder / "go").touch()
    ended = run_orc("resume", "latest", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    events = read_events(folder / "runs.db")
    assert events[-1]["type"] == "job.succeeded"
    starts = [event["step"] for event in events if event["type"] == "step.started"]
    assert starts.count("before") == 1


def test_cancelling_a_running_job_ends_it_for_both_processes(folder: Path) -> None:
    marker = new_marker()
    with running(folder, marker=marker) as process:
        cancelled = run_orc("cancel", "latest", "--reason", "enough", cwd=folder)
        _, said = process.communicate(timeout=WAIT_S)
    assert (cancelled.returncode, process.returncode) == (0, 8)
    assert "cancelled" in said
    assert "Traceback" not in said + cancelled.stderr
    if Path("/proc/self/environ").exists():
        assert processes_with(marker) == []
    last = read_events(folder / "runs.db")[-1]
    assert (last["type"], last["data"]["reason"]) == ("job.cancelled", "enough")
    assert last["data"]["signal_id"] == 1
    check_goes_on(folder)


def test_cancelling_a_job_whose_owner_was_killed_ends_it_at_once(folder: Path) -> None:
    with running(folder) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(WAIT_S)
    cancelled = run_orc("cancel", "latest", cwd=folder)
    assert cancelled.returncode == 0, cancelled.stderr
    assert event_types(folder / "runs.db")[-1] == "job.cancelled"
    assert run_orc("show", "latest", cwd=folder).stdout.count("cancelled") >= 2
    assert run_orc("verify", cwd=folder).returncode == 0
    check_goes_on(folder)


def test_cancelling_a_job_that_has_ended_changes_nothing(folder: Path) -> None:
    (folder / "go").touch()
    assert run_orc("run", "spec.yaml", cwd=folder).returncode == 0
    before = read_events(folder / "runs.db")
    refused = run_orc("cancel", "latest", cwd=folder)
    assert (refused.returncode, read_events(folder / "runs.db")) == (8, before)
    assert "has already ended: succeeded" in refused.stderr


def test_a_signal_that_came_too_late_does_not_cancel_the_job_once_it_is_resumed(
    folder: Path,
) -> None:
    """Two processes may cancel one job; its end answers both signals."""
    with running(folder) as process:
        cancels = [start_orc("cancel", "latest", cwd=folder) for _ in range(2)]
        try:
            assert process.wait(WAIT_S) == 8
            assert sorted(cancel.wait(WAIT_S) for cancel in cancels)[0] == 0
        finally:
            for cancel in cancels:
                end_process(cancel)
    with running(folder, "resume", "latest") as process:
        # Longer than the owner takes to read the signals.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 143
    check_goes_on(folder)


def test_a_second_resume_is_refused_with_the_owner_of_the_job(folder: Path) -> None:
    with running(folder) as process:
        begun_s = time.monotonic()
        refused = run_orc("resume", "latest", cwd=folder)
        assert refused.returncode == 75
        assert f"is being run by process {process.pid} on {socket.gethostname()}" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert time.monotonic() - begun_s < 10
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 143
    assert "job.resumed" not in event_types(folder / "runs.db")
    check_goes_on(folder)


def test_a_suspended_owner_keeps_its_job_and_continues_later(folder: Path) -> None:
    with running(folder) as process:
        process.send_signal(signal.SIGSTOP)
        try:
            assert run_orc("resume", "latest", cwd=folder).returncode == 75
        finally:
            process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 143
    check_goes_on(folder)


def test_an_owner_whose_lock_file_was_deleted_is_stopped_by_the_next_owners_events(
    folder: Path,
) -> None:
    marker = new_marker()
    with running(folder, marker=marker) as first:
        [lock] = (folder / "runs.db.locks").glob("job_*")
        lock.unlink()
        with running(folder, "resume", "latest") as second:
            first.send_signal(signal.SIGTERM)
            _, said = first.communicate(timeout=WAIT_S)
            assert first.returncode == 75
            assert "another process has appended" in said
            assert "Traceback" not in said
            if Path("/proc/self/environ").exists():
                assert processes_with(marker) == []
            second.send_signal(signal.SIGTERM)
            assert second.wait(WAIT_S) == 143
    assert run_orc("verify", cwd=folder).returncode == 0
    check_goes_on(folder)


def test_a_failed_job_continues_from_the_failed_step(folder: Path) -> None:
    (folder / "spec.yaml").write_text(
        "project: failing\nsteps:\n  before: {run: echo before}\n"
        '  slow: {needs: before, run: test -e "$ORC_SPEC_DIR/go"}\n'
        "  after: {needs: slow, run: echo after}\n"
    )
    failed = run_orc("run", "spec.yaml", cwd=folder)
    assert failed.returncode == 1
    job_id = read_events(folder / "runs.db")[0]["job_id"]
    assert f"next: orc resume {job_id}" in failed.stderr
    check_goes_on(folder)


def test_resuming_a_succeeded_job_does_nothing(folder: Path) -> None:
    (folder / "go").touch()
    assert run_orc("run", "spec.yaml", cwd=folder).returncode == 0
    before = read_events(folder / "runs.db")
    assert run_orc("resume", "latest", cwd=folder).returncode == 0
    assert read_events(folder / "runs.db") == before


def test_three_jobs_run_at_once_on_one_ledger(folder: Path) -> None:
    (folder / "go").touch()
    processes = [start_orc("run", "spec.yaml", cwd=folder) for _ in range(3)]
    try:
        for process in processes:
            _, said = process.communicate(timeout=WAIT_S)
            assert process.returncode == 0, said
            assert "locked" not in said
    finally:
        for process in processes:
            end_process(process)
    assert event_types(folder / "runs.db").count("job.succeeded") == 3
    assert run_orc("verify", cwd=folder).returncode == 0

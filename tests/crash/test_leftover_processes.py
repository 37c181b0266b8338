"""No process is left after any end of a run or a step; the doctor reports processes that escaped."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orc.cli.doctor.health import has_wal_reset_bug
from orc.cli.doctor.leftover_processes import find_leftovers
from orc.scheduler.runner import Runner
from tests.cli.command_line import orc, work_in
from tests.processes import (
    WAIT_S,
    end_process,
    event_types,
    needs_proc,
    new_marker,
    processes_with,
    read_events,
    run_orc,
    start_orc,
    wait_until,
)

pytestmark = needs_proc

_STEPS = """
  stubborn:
    run: |
      trap ': > "$ORC_THERE/got"' TERM
      trap '' HUP INT
      sh -c 'trap "" TERM; sh -c "trap \\"\\" TERM; : > $ORC_THERE/deep; sleep 300; :"; :' &
      : > "$ORC_THERE/stubborn"
      while :; do sleep 0.1 || :; done
  holding:
    run: |
      sleep 300 &
      : > "$ORC_THERE/holding"
      sleep 300
  function: {python: "hanging:hang"}
  asked:
    prompt: Do it.
    tools: [run_command]
"""
_REPLIES = """
version: 1
replies:
  asked:
    - tool_calls:
        - id: t1
          name: run_command
          arguments: {argv: [sh, -c, ": > $ORC_THERE/asked; sleep 300"]}
"""
_MODULE = """
import os, pathlib, subprocess, time

def hang():
    subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 300; :"])
    pathlib.Path(os.environ["ORC_THERE"], "function").touch()
    time.sleep(300)
"""
_SIGNS = ("stubborn", "deep", "holding", "function", "asked")


def write_spec(folder: Path, **limits: str) -> None:
    """A job with each kind of step that starts processes; `limits` are keys of the job."""
    head = "project: left\nprovider: replay\nconcurrency: 4\n"
    head += "".join(f"{name}: {value}\n" for name, value in limits.items())
    (folder / "spec.yaml").write_text(f"{head}steps:{_STEPS}")
    (folder / "spec.replay.yaml").write_text(_REPLIES)
    (folder / "hanging.py").write_text(_MODULE)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Only for this process; real processes have the whole grace period.
    defaults = Runner.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "grace_s", 0.3)
    return work_in(tmp_path, monkeypatch)


@pytest.fixture
def marker() -> Iterator[str]:
    """A word that marks the processes of a test; they are ended after the test."""
    word = new_marker()
    yield word
    for pid in processes_with(word):
        os.kill(pid, signal.SIGKILL)


def start(folder: Path, marker: str, **extra: str) -> subprocess.Popen[str]:
    return start_orc(
        "run", "spec.yaml", cwd=folder, ORC_MARK=marker, ORC_THERE=str(folder), **extra
    )


def all_there(folder: Path) -> bool:
    return all((folder / sign).exists() for sign in _SIGNS)


def end_by(way: str, process: subprocess.Popen[str], folder: Path) -> None:
    match way:
        case "cancel":
            assert run_orc("cancel", "latest", cwd=folder).returncode == 0
        case "killed":
            process.kill()
        case "second Ctrl-C":
            process.send_signal(signal.SIGINT)
            wait_until((folder / "got").exists, what="the SIGTERM to the command")
            process.send_signal(signal.SIGINT)
        case _:
            process.send_signal(signal.Signals[way])
    process.communicate(timeout=WAIT_S)


def check_none_left(marker: str, *, within_s: float = 5.0) -> None:
    wait_until(
        lambda: not processes_with(marker), within_s=within_s, what="the end of all processes"
    )


@pytest.mark.parametrize(
    "way",
    [
        "second Ctrl-C",
        *(
            pytest.param(way, marks=pytest.mark.torture)
            for way in ("cancel", "killed", "SIGINT", "SIGTERM", "SIGHUP")
        ),
    ],
)
def test_no_process_is_left_after_any_end_of_a_run(here: Path, marker: str, way: str) -> None:
    write_spec(here)
    process = start(here, marker)
    try:
        wait_until(lambda: all_there(here), what="all steps")
        assert len(processes_with(marker)) > 8
        end_by(way, process, here)
        # A process without time to end its children leaves that to the reaper.
        check_none_left(marker, within_s=5.0 if way == "killed" else 1.0)
    finally:
        end_process(process)
    assert run_orc("verify", cwd=here).returncode in (0, 5 if way == "killed" else 0)


@pytest.mark.parametrize(
    "limits",
    [
        {"defaults": "{timeout: 3s, retry: 1}"},
        pytest.param({"timeout": "3s"}, marks=pytest.mark.torture),
    ],
    ids=["step", "job"],
)
def test_a_timeout_leaves_no_process(
    here: Path, marker: str, monkeypatch: pytest.MonkeyPatch, limits: dict[str, str]
) -> None:
    monkeypatch.setenv("ORC_MARK", marker)
    monkeypatch.setenv("ORC_THERE", str(here))
    write_spec(here, **limits)
    assert orc("run", "spec.yaml").code == 1
    assert processes_with(marker) == []
    assert all_there(here)
    failed = [event for event in read_events(here / "runs.db") if event["type"] == "step.failed"]
    assert len(failed) == 4
    assert {event["data"]["kind"] for event in failed} == {"timeout"}


@pytest.mark.parametrize(
    "place",
    ["process.after_spawn@3", pytest.param("process.after_spawn@1", marks=pytest.mark.torture)],
)
def test_a_run_killed_right_after_a_spawn_leaves_no_process(
    here: Path, marker: str, place: str
) -> None:
    write_spec(here)
    process = start(here, marker, ORC_FAILPOINTS=f"{place}=kill")
    try:
        assert process.wait(WAIT_S) == -signal.SIGKILL
        check_none_left(marker)
    finally:
        end_process(process)


_ESCAPES = """
project: escaping
steps:
  daemon:
    run: |
      setsid sh -c ': > "$ORC_SPEC_DIR/away"; exec sleep 300' >/dev/null 2>&1 &
      until [ -e "$ORC_SPEC_DIR/away" ]; do sleep 0.02; done
"""


def test_a_process_that_made_its_own_session_escapes_and_the_doctor_names_it(
    here: Path, marker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A documented limit: only the process group of a command is ended."""
    monkeypatch.setenv("ORC_MARK", marker)
    (here / "spec.yaml").write_text(_ESCAPES)
    assert orc("run", "spec.yaml").code == 0
    job_id = read_events(here / "runs.db")[0]["job_id"]
    [pid] = processes_with(marker)

    found = [
        finding
        for finding in orc("doctor", "--json").json()["findings"]
        if finding["name"] == "process"
    ]
    assert [(one["pid"], one["job_id"], one["command"]) for one in found] == [
        (pid, job_id, "sleep")
    ]
    said = orc("doctor")
    assert (
        f"process {pid} (sleep) was started by {job_id}, which is not running any more; "
        f"`kill {pid}` ends it" in said.out
    )
    os.kill(pid, signal.SIGKILL)
    check_none_left(marker)
    assert "not running any more" not in orc("doctor").out


def test_the_doctor_does_not_report_processes_of_a_running_job(here: Path, marker: str) -> None:
    (here / "spec.yaml").write_text(_ESCAPES.replace(">/dev/null 2>&1 &", ">/dev/null 2>&1"))
    process = start(here, marker)
    try:
        wait_until((here / "away").exists, what="the command")
        assert find_leftovers(here / "runs.db") == []
        # After the kill, the reaper ends the group, but not a process that has left the group.
        process.kill()
        process.wait(WAIT_S)
        wait_until(
            lambda: len(find_leftovers(here / "runs.db")) == 1, what="the process that is left"
        )
    finally:
        end_process(process)


@pytest.mark.parametrize(
    ("version", "has_it"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 0), True),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 54, 1), False),
        ((4, 0, 0), False),
    ],
)
def test_the_doctor_knows_which_versions_of_sqlite_may_lose_a_commit(
    version: tuple[int, ...], has_it: bool
) -> None:
    assert has_wal_reset_bug(version) is has_it


def test_the_doctor_reports_a_large_write_ahead_log(here: Path) -> None:
    (here / "spec.yaml").write_text("project: long\nsteps: {one: {value: 1}}\n")
    assert orc("run", "spec.yaml").code == 0
    assert "-wal" not in orc("doctor").out
    with (here / "runs.db-wal").open("wb") as file:
        file.truncate(64 * 2**20 + 1)
    assert "its -wal file has 64 MiB: it grows while another program reads" in orc("doctor").out
    (here / "runs.db-wal").unlink()
    assert event_types(here / "runs.db")[-1] == "job.succeeded"

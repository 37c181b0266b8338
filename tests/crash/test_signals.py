"""Stop signals: child processes end, the interruption is recorded, and the job can be resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orc.scheduler.effects.groups import GRACE_S
from tests.processes import (
    ORC,
    WAIT_S,
    end_process,
    event_types,
    has_event,
    needs_proc,
    new_marker,
    orc_environment,
    processes_with,
    read_events,
    run_orc,
    start_orc,
    wait_until,
)

pytestmark = needs_proc

_SPEC = """
project: stopping
steps:
  slow:
    run: |
      if [ -e "$ORC_SPEC_DIR/go" ]; then echo done; exit 0; fi
      {trap}
      sleep 300 &
      : > "$ORC_SPEC_DIR/there"
      {wait}
  function:
    python: waiting:wait
  after:
    needs: [slow, function]
    run: echo after
"""
_MODULE = """
import os, pathlib, time

def wait():
    here = pathlib.Path(os.environ["ORC_SPEC_DIR"])
    if not (here / "go").exists():
        (here / "function").touch()
        time.sleep(300)
"""
_STUBBORN = "trap 'echo got >> \"$ORC_SPEC_DIR/got\"' TERM"


def write_spec(folder: Path, *, stubborn: bool = False) -> None:
    """A job that waits until it is stopped, or until there is a file `go`."""
    text = _SPEC.format(
        trap=_STUBBORN if stubborn else ":",
        wait="while :; do sleep 0.05 || :; done" if stubborn else "wait",
    )
    (folder / "spec.yaml").write_text(text)
    (folder / "waiting.py").write_text(_MODULE)


@contextmanager
def running(folder: Path, marker: str) -> Iterator[subprocess.Popen[str]]:
    """`orc run` after both of its steps have started."""
    process = start_orc("run", "spec.yaml", cwd=folder, ORC_MARK=marker)
    try:
        wait_until((folder / "there").exists, what="the command")
        wait_until((folder / "function").exists, what="the function")
        yield process
    finally:
        end_process(process)
        for pid in processes_with(marker):
            os.kill(pid, signal.SIGKILL)


def check_interrupted(folder: Path, marker: str, *, name: str) -> None:
    """Check that all child processes have ended, and that the interruption is recorded."""
    assert processes_with(marker) == []
    events = read_events(folder / "runs.db")
    assert events[-1]["type"] == "job.interrupted"
    assert events[-1]["data"] == {"signal": name}
    interrupted = [event for event in events if event["type"] == "step.interrupted"]
    assert sorted(event["step"] for event in interrupted) == ["function", "slow"]
    assert {event["data"]["reason"] for event in interrupted} == {"signal"}


def check_resumes(folder: Path) -> None:
    (folder / "go").touch()
    ended = run_orc("resume", "latest", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    assert event_types(folder / "runs.db")[-1] == "job.succeeded"


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_a_stop_signal_ends_the_children_is_recorded_and_the_job_can_be_resumed(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    write_spec(tmp_path)
    marker = new_marker()
    with running(tmp_path, marker) as process:
        process.send_signal(number)
        _, said = process.communicate(timeout=WAIT_S)
        assert process.returncode == code
        check_interrupted(tmp_path, marker, name=number.name)
    job_id = read_events(tmp_path / "runs.db")[0]["job_id"]
    assert f"next: orc resume {job_id}" in said
    assert "Traceback" not in said
    check_resumes(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_waits_for_no_grace_period(tmp_path: Path, number: signal.Signals) -> None:
    write_spec(tmp_path, stubborn=True)
    marker = new_marker()
    with running(tmp_path, marker) as process:
        process.send_signal(number)
        wait_until((tmp_path / "got").exists, what="the SIGTERM to the command")
        assert process.poll() is None
        begun_s = time.monotonic()
        process.send_signal(number)
        process.communicate(timeout=WAIT_S)
        assert time.monotonic() - begun_s < GRACE_S - 4
        check_interrupted(tmp_path, marker, name=number.name)
    check_resumes(tmp_path)


_LEADER = """
import fcntl, os, signal, subprocess, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, lambda *_: None)
print(subprocess.call(sys.argv[1:], stdout=0, stderr=0), flush=True)
while True:
    signal.pause()
"""
"""Leads the terminal's session, as a shell does, so that its end does not cut what is shown."""


class Terminal:
    """`orc` in the foreground of a pseudo-terminal, whose output is read continuously."""

    def __init__(self, *arguments: str, cwd: Path, **extra: str) -> None:
        self.master, slave = os.openpty()
        self.leader = subprocess.Popen(
            [sys.executable, "-c", _LEADER, ORC, *arguments],
            cwd=cwd,
            env=orc_environment(TERM="xterm", **extra),
            stdin=slave,
            stdout=subprocess.PIPE,
            text=True,
        )
        os.close(slave)
        self.shown = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def wait(self) -> int:
        """The exit code of `orc`."""
        assert self.leader.stdout is not None
        return int(self.leader.stdout.readline())

    def close(self) -> None:
        end_process(self.leader)
        self._reader.join(WAIT_S)
        os.close(self.master)

    def _read(self) -> None:
        while True:
            try:
                self.shown += os.read(self.master, 1 << 16)
            except OSError:
                return


def test_ctrl_c_in_a_terminal_stops_the_job_and_a_second_one_at_once(tmp_path: Path) -> None:
    write_spec(tmp_path, stubborn=True)
    marker = new_marker()
    terminal = Terminal("run", "spec.yaml", cwd=tmp_path, ORC_MARK=marker)
    try:
        wait_until((tmp_path / "there").exists, what="the command")
        wait_until((tmp_path / "function").exists, what="the function")
        terminal.type(b"\x03")
        wait_until((tmp_path / "got").exists, what="the SIGTERM to the command")
        begun_s = time.monotonic()
        terminal.type(b"\x03")
        assert terminal.wait() == 130
        assert time.monotonic() - begun_s < GRACE_S - 4
        wait_until(lambda: b"next: orc resume job_" in terminal.shown, what="the next command")
    finally:
        terminal.close()
    check_interrupted(tmp_path, marker, name="SIGINT")
    assert b"Traceback" not in terminal.shown
    check_resumes(tmp_path)


_LED_BY_ORC = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
_HANGS_UP = """
import os, subprocess, sys, time
master, slave = os.openpty()
process = subprocess.Popen(
    [sys.executable, "-c", sys.argv[1], *sys.argv[2:]], stdin=slave, stdout=slave, stderr=slave
)
os.close(slave)
os.set_blocking(master, False)
while not (os.path.exists("there") and os.path.exists("function")):
    try:
        os.read(master, 65536)
    except BlockingIOError:
        time.sleep(0.01)
os.close(master)
print(process.wait())
"""


def test_a_terminal_that_is_closed_stops_the_job_and_loses_nothing(tmp_path: Path) -> None:
    """All later output of `orc` fails with an I/O error."""
    write_spec(tmp_path)
    marker = new_marker()
    ended = subprocess.run(
        [sys.executable, "-c", _HANGS_UP, _LED_BY_ORC, ORC, "run", "spec.yaml"],
        cwd=tmp_path,
        env=orc_environment(TERM="xterm", ORC_MARK=marker),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert ended.stdout.strip() == "129"
    check_interrupted(tmp_path, marker, name="SIGHUP")
    check_resumes(tmp_path)


def test_a_signal_while_nothing_runs_but_a_retry_waits_stops_the_job(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(
        "project: waiting\nsteps:\n  flaky:\n    run: test -e ../../../../go\n"
        "    retry: {max_attempts: 2, initial: 5m}\n"
    )
    process = start_orc("run", "spec.yaml", cwd=tmp_path)
    try:
        wait_until(lambda: has_event(tmp_path / "runs.db", "step.failed"), what="the failure")
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 143
    finally:
        end_process(process)
    assert event_types(tmp_path / "runs.db")[-1] == "job.interrupted"

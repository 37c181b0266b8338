"""Signals that orc ignores when it starts, as under `nohup`: they stay ignored, in all commands."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

import orc as api
from orc.cli.browse.server import serve
from orc.cli.cluster.engine_commands import EngineCommand, start_engine
from orc.cli.errors import UsageProblem
from orc.scheduler.stopping import _STOP_SIGNALS
from orc.worker.exit_statuses import require_exit_statuses
from tests.cli.command_line import orc, submit, write
from tests.processes import ORC, ROOT, WAIT_S, needs_proc, orc_environment

IGNORED = (*_STOP_SIGNALS, signal.SIGQUIT, signal.SIGPIPE, signal.SIGCHLD)

# Each step sends all stop signals to orc, which is its parent, and gives orc the time to act.
SENDING = """\
project: sending
steps:
  sender: {run: "for name in HUP INT TERM; do kill -s $name $PPID; done; sleep 0.1; echo went on"}
"""
ASKING = """\
project: asking
steps:
  sender: {run: "for name in HUP INT TERM; do kill -s $name $PPID; done; sleep 0.1; echo went on"}
  later: {needs: sender, value: 1}
"""


@pytest.fixture
def ignoring(here: Path) -> Iterator[Path]:
    """A folder, in a process that ignores all of the signals."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in IGNORED}
    yield here
    for number, handler in before.items():
        signal.signal(number, handler)


def run_one(text: str = SENDING) -> None:
    assert orc("run", write("spec.yaml", text), "--until", "sender").code == 0


def do_run() -> int:
    return orc("run", write("spec.yaml", SENDING)).code


def do_work() -> int:
    assert orc("submit", write("spec.yaml", SENDING)).code == 0
    return orc("work", "--stop-when-empty").code


def do_resume() -> int:
    text = ASKING.replace("sender:", "first: {value: 1}\n  sender:")
    assert orc("run", write("spec.yaml", text), "--until", "first").code == 0
    return orc("resume", "latest").code


def do_rerun() -> int:
    submit(SENDING)
    return orc("rerun", "latest", "--step", "sender").code


def do_fork() -> int:
    submit(SENDING)
    return orc("fork", "latest", "--from", "sender").code


def do_replay() -> int:
    submit(SENDING)
    return orc("replay", "latest").code


RUNNERS = {
    "run": do_run,
    "work": do_work,
    "resume": do_resume,
    "rerun": do_rerun,
    "fork": do_fork,
    "replay": do_replay,
}


@pytest.mark.parametrize("name", RUNNERS)
def test_a_signal_that_was_ignored_at_the_start_stops_no_command(name: str, ignoring: Path) -> None:
    assert RUNNERS[name]() == 0


def test_a_signal_that_was_ignored_at_the_start_stops_no_trial(
    ignoring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run_trial(*given: object) -> None:
        for number in _STOP_SIGNALS:
            os.kill(os.getpid(), number)
        await trio.sleep(0.05)
        raise UsageProblem("the trial went on")

    monkeypatch.setattr("orc.cli.chaos.trial.run_trial", run_trial)
    assert "the trial went on" in orc("chaos", write("spec.yaml", SENDING)).err


@needs_proc
def test_commands_and_functions_ignore_what_orc_was_told_to_ignore_and_nothing_else(
    ignoring: Path,
) -> None:
    write(
        "looking.py", "def look():\n    return open('/proc/self/status').read().split('SigIgn:')[1]"
    )
    submit(
        'project: looking\nsteps:\n  command: {run: "grep SigIgn /proc/self/status"}\n'
        "  function: {python: 'looking:look'}\n"
    )
    steps = api.job("latest").outputs
    passed_on = {*_STOP_SIGNALS, signal.SIGQUIT}
    assert ignored_in(steps["command"]) == passed_on
    # Python ignores two signals in every process of its own, and orc ends a worker by SIGTERM.
    of_python = {signal.SIGPIPE, signal.SIGXFSZ}
    assert ignored_in(steps["function"]) == (passed_on | of_python) - {signal.SIGTERM}


def ignored_in(text: Any) -> set[signal.Signals]:
    found = re.search("[0-9a-f]{16}", str(text))
    assert found is not None
    return {one for one in signal.Signals if int(found[0], 16) >> (one - 1) & 1}


def test_a_failed_command_has_failed_also_if_ended_children_are_not_reported(
    ignoring: Path,
) -> None:
    said = orc("run", write("spec.yaml", 'project: failing\nsteps:\n  a: {run: "exit 3"}\n'))
    assert said.code == 1
    assert "exited with code 3" in said.err


def test_a_program_that_ignores_ended_children_is_told_so_instead_of_a_wrong_status(
    ignoring: Path,
) -> None:
    job = api.run(write("spec.yaml", 'project: failing\nsteps:\n  a: {run: "exit 3"}\n'))
    assert job.status == "failed"
    assert "set it to signal.SIG_DFL first" in str(job.failures)
    with pytest.raises(OSError, match="ignores SIGCHLD"):
        require_exit_statuses()


def test_an_ignored_signal_does_not_end_the_server_of_the_pages(here: Path) -> None:
    program = (
        "import os, signal, socket, sys\n"
        "from orc.cli.browse.server import serve\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "async def app(scope, receive, send):\n"
        "    for kind in ('startup', 'shutdown'):\n"
        "        await receive()\n"
        "        await send({'type': f'lifespan.{kind}.complete'})\n"
        "def ready():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('ignored', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "serve(app, socket.create_server(('127.0.0.1', 0)), when_ready=ready)\n"
    )
    assert serve.__module__ in program
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (ended.stdout, ended.returncode) == ("ignored\n", -signal.SIGTERM), ended.stderr


def test_the_engine_of_a_cluster_gets_no_signal_that_was_ignored(
    ignoring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    blocked: set[int] = set()
    monkeypatch.setattr(
        os, "execve", lambda *given: blocked.update(signal.pthread_sigmask(signal.SIG_BLOCK, []))
    )
    try:
        start_engine(EngineCommand(["scheduler"], {}))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert blocked >= set(_STOP_SIGNALS)


def test_a_hangup_does_not_end_orc_under_nohup(here: Path) -> None:
    write("spec.yaml", SENDING)
    ended = subprocess.run(
        ["nohup", ORC, "run", "spec.yaml"],
        env=orc_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    # The step sends SIGINT and SIGTERM, too.
    assert ended.returncode in (130, 143), ended.stderr
    assert "SIGHUP" not in ended.stderr


HANDLERS = re.compile(
    r"signal\.signal\(|open_signal_receiver\(|add_signal_handler\(|capture_signals"
)
INSTALL = {
    "cli/main.py": "sets SIGCHLD to its default",
    "cli/browse/server.py": "asks `ignored_signals`",
    "scheduler/stopping.py": "asks `ignored_signals`",
    "scheduler/effects/reaper.py": "ignores what would end it before its groups",
    "orc/worker/reaper.py": "ignores what would end it before its groups",
    "orc/worker/function_worker.py": "sets SIGTERM to its default, for its sender",
}


def test_no_other_module_installs_a_handler() -> None:
    found = {
        str(path.relative_to(ROOT))
        for package in ("cli", "ledger", "orc", "projections", "providers", "scheduler")
        for path in (ROOT / package).rglob("*.py")
        if HANDLERS.search(path.read_text("utf-8"))
    }
    assert found == set(INSTALL)

"""A reaper knows its groups from its first moment, whatever happens to the one that started it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import orc.scheduler.effects.groups
import orc.worker.lease
from orc.worker.guarding import start_reaper
from tests.processes import ROOT, end_process, start_python

_DIES_WITH_THE_START = """
import os, signal, subprocess, sys

class Deadly(subprocess.Popen):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)

"""
_OF_A_RUNNER = """
from orc.scheduler.effects.groups import ProcessGroups
groups = ProcessGroups()
groups._groups.add(int(sys.argv[1]))
groups._start_reaper()
first, subprocess.Popen = groups._reaper, Deadly
first.kill()
first.wait()
groups._notify_reaper("-1")
"""
_OF_A_WORKER = """
from orc.worker.lease import Leases
leases = Leases()
watch = leases.begin(600)
leases.guard(watch, int(sys.argv[1]))
first, subprocess.Popen = leases._reaper, Deadly
first.kill()
first.wait()
leases.beat()
"""


@pytest.fixture
def command() -> Iterator[subprocess.Popen[bytes]]:
    """A command that leads a group of its own."""
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("start", [_OF_A_RUNNER, _OF_A_WORKER], ids=["runner", "worker"])
def test_who_is_killed_while_a_reaper_is_replaced_leaves_no_command(
    start: str, command: subprocess.Popen[bytes]
) -> None:
    process = start_python(_DIES_WITH_THE_START + start, str(command.pid))
    try:
        assert process.wait(30) == -signal.SIGKILL
        assert command.wait(30) == -signal.SIGKILL
    finally:
        end_process(process)


@pytest.mark.parametrize(
    ("script", "deadline"),
    [(orc.scheduler.effects.groups._REAPER, ""), (orc.worker.lease._REAPER, " 1e12")],
    ids=["runner", "worker"],
)
def test_more_groups_than_a_pipe_takes_reach_the_reaper(
    script: Path, deadline: str, command: subprocess.Popen[bytes]
) -> None:
    lines = "-4000000\n" * 20_000 + f"+{command.pid}{deadline}\n"
    reaper = start_reaper(script, lines.encode())
    assert reaper.stdin is not None
    reaper.stdin.close()
    assert reaper.wait(30) == 0
    assert command.wait(30) == -signal.SIGKILL


def test_a_reaper_that_is_dead_at_once_is_no_error() -> None:
    script = ROOT / "tests" / "nowhere.py"
    reaper = start_reaper(script, b"-4000000 \n" * 20_000)
    assert reaper.wait(30) != 0
    assert reaper.stdin is not None
    with pytest.raises(BrokenPipeError):
        os.write(reaper.stdin.fileno(), b"+1 1e12\n")
    reaper.stdin.close()

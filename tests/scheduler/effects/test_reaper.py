"""A runner that is killed leaves no process behind, whenever it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import trio

from orc.scheduler.effects.groups import ProcessGroups
from tests.processes import (
    end_process,
    needs_proc,
    new_marker,
    processes_with,
    start_orc,
    start_python,
    wait_until,
)

pytestmark = needs_proc

_SPEC = """
project: left_behind
concurrency: 3
steps:
  command:
    run: |
      sleep 300 &
      trap '' TERM HUP
      : > "$ORC_THERE/command"
      while :; do sleep 0.1; done
  function:
    python: hanging:hang
    args: {seconds: 300}
  quick:
    run: ": > $ORC_THERE/quick"
"""
_MODULE = """
import os, pathlib, subprocess, time

def hang(seconds):
    subprocess.Popen(["sleep", "300"])
    pathlib.Path(os.environ["ORC_THERE"], "function").touch()
    time.sleep(seconds)
"""


def test_a_killed_run_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(_SPEC)
    (tmp_path / "hanging.py").write_text(_MODULE)
    marker = new_marker()
    process = start_orc("run", "spec.yaml", cwd=tmp_path, ORC_MARK=marker, ORC_THERE=str(tmp_path))
    try:
        wait_until((tmp_path / "command").exists, what="the command")
        wait_until((tmp_path / "function").exists, what="the function")
        assert len(processes_with(marker)) >= 5
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        wait_until(lambda: not processes_with(marker), what="the end of every child")
    finally:
        end_process(process)
        for pid in processes_with(marker):
            os.kill(pid, signal.SIGKILL)


_KILLED_AT_THE_GATE = """
import os, signal, subprocess, sys
from pathlib import Path
import trio
from orc.scheduler.effects.groups import ProcessGroups

class Killed(ProcessGroups):
    def _notify_reaper(self, line):
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    groups = Killed()
    await groups.spawn(
        ["/bin/sh", "-c", "touch ran; sleep 300"], cwd=Path(sys.argv[1]), env=dict(os.environ),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )

trio.run(main)
"""


def test_a_runner_killed_before_the_reaper_knows_a_child_leaves_none(tmp_path: Path) -> None:
    marker = new_marker()
    process = start_python(_KILLED_AT_THE_GATE, str(tmp_path), env={"ORC_MARK": marker})
    try:
        process.wait(20)
        assert process.returncode == -signal.SIGKILL
        wait_until(lambda: not processes_with(marker), what="the end of the child at the gate")
        assert not (tmp_path / "ran").exists()
    finally:
        end_process(process)


_REAPER_KILLED = """
import os, signal, subprocess, sys
from pathlib import Path
import trio
from orc.scheduler.effects.groups import ProcessGroups

async def main():
    groups = ProcessGroups()
    async def spawn():
        await groups.spawn(
            ["sleep", "300"], cwd=Path("/"), env=dict(os.environ),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
    await spawn()
    groups._reaper.kill()
    groups._reaper.wait()
    await spawn()
    print("ready", flush=True)
    await trio.sleep_forever()

trio.run(main)
"""


def test_a_reaper_that_was_killed_is_replaced_and_gets_every_group() -> None:
    marker = new_marker()
    process = start_python(_REAPER_KILLED, env={"ORC_MARK": marker})
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        wait_until(lambda: len(processes_with(marker)) == 3, what="both commands")
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: not processes_with(marker), what="the end of both commands")
    finally:
        end_process(process)
        for pid in processes_with(marker):
            os.kill(pid, signal.SIGKILL)


async def test_closing_the_groups_ends_every_child_and_the_reaper(tmp_path: Path) -> None:
    marker = new_marker()
    groups = ProcessGroups()
    with trio.fail_after(20):
        children = [
            await groups.spawn(
                ["sleep", "300"],
                cwd=tmp_path,
                env={"PATH": os.environ["PATH"], "ORC_MARK": marker},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(3)
        ]
        reaper = groups._reaper
        assert reaper is not None
        groups.close()
        for child in children:
            await child.wait()
    assert reaper.poll() == 0
    assert processes_with(marker) == []

"""Tests that need a real process: signals, owners, closed pipes, shell completion."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import PASSING, orc, submit, write
from tests.cli.conftest import Kept
from tests.processes import ORC, WAIT_S, end_process, orc_environment, start_orc

SLOW = """\
project: slow
steps:
  first: {value: 1}
  wait: {needs: first, run: "exec sleep 60"}
"""


@pytest.fixture
def running(here: Path) -> Iterator[subprocess.Popen[str]]:
    """`orc run --json` of a job whose second step has started and does not end."""
    write("slow.yaml", SLOW)
    process = start_orc("run", "slow.yaml", "--json", cwd=here)
    try:
        while (line := read_line(process)).get("step") != "wait":
            assert line["event"] != "done"
        yield process
    finally:
        end_process(process)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)],
)
def test_a_signal_stops_a_job_so_that_it_can_be_resumed(
    number: signal.Signals, code: int, running: subprocess.Popen[str]
) -> None:
    running.send_signal(number)

    assert running.wait(WAIT_S) == code
    assert orc("show", "latest", "--json").json()["status"] == "interrupted"
    last = orc("tail", "latest", "--json").lines()[-1]
    assert (last["type"], last["signal"]) == ("job.interrupted", number.name)
    assert "next: orc resume job_" in orc("show", "latest").out


def test_a_second_owner_is_refused_with_the_pid_of_the_first(
    running: subprocess.Popen[str],
) -> None:
    said = orc("resume", "latest")

    assert said.code == 75
    assert f"process {running.pid} on " in said.err
    assert orc("show", "latest", "--json").json()["status"] == "running"


def test_cancel_ends_a_running_job_for_its_owner_as_well(running: subprocess.Popen[str]) -> None:
    said = orc("cancel", "latest", "--reason", "enough", "--json")
    out, _ = running.communicate(timeout=WAIT_S)

    assert (said.code, said.json()["status"]) == (0, "cancelled")
    assert running.returncode == 8
    done = json.loads(out.splitlines()[-1])
    assert (done["event"], done["status"]) == ("done", "cancelled")
    assert orc("tail", "latest", "--type", "job.cancelled", "--json").json()["reason"] == "enough"


def test_tail_follows_a_running_job_and_ends_with_it(
    running: subprocess.Popen[str], here: Path
) -> None:
    follower = start_orc("tail", "latest", "-f", "--json", cwd=here)
    try:
        while read_line(follower)["type"] != "step.started":
            pass
        running.send_signal(signal.SIGINT)
        out, err = follower.communicate(timeout=WAIT_S)
    finally:
        end_process(follower)

    assert (follower.returncode, err) == (0, "")
    assert json.loads(out.splitlines()[-1])["type"] == "job.interrupted"


def test_a_killed_owner_leaves_an_interrupted_job_that_can_be_resumed(
    running: subprocess.Popen[str], here: Path
) -> None:
    running.kill()
    running.wait(WAIT_S)

    listed = orc("list", "--json").json()
    assert listed["status"] == "interrupted"
    assert orc("tail", "latest", "-f", "--type", "job.started").code == 0, "it waits for nobody"
    assert orc("cancel", "latest").code == 0
    assert orc("show", "latest", "--json").json()["status"] == "cancelled"


@pytest.mark.parametrize("options", [("--json",), ()], ids=["json", "lines"])
def test_a_job_continues_when_its_output_is_closed(options: tuple[str, ...], here: Path) -> None:
    write("spec.yaml", PASSING)
    process = start_orc("run", "spec.yaml", *options, cwd=here)
    try:
        stream = process.stdout if options else process.stderr
        assert stream is not None
        assert "job_" in stream.readline()
        stream.close()
        assert process.wait(WAIT_S) == 0
    finally:
        end_process(process)

    assert orc("show", "latest", "--json").json()["status"] == "succeeded"


def test_a_reader_that_closes_the_pipe_is_not_an_error(kept: Kept) -> None:
    for command in (f"tail {kept.tiny}", f"tail {kept.tiny} --json", "list"):
        said = shell(
            f"'{ORC}' {command} --db '{kept.database}' | head -n 1; exit ${{PIPESTATUS[0]}}"
        )
        assert said.returncode == 0
        assert said.stderr in (
            "",
            "texts that end in ... are cut: --json prints each event in full\n",
        )
        assert said.stdout.count("\n") == 1


def test_closed_streams_neither_end_a_job_nor_mix_messages_into_data(here: Path) -> None:
    write("spec.yaml", PASSING)
    without_talk = shell(f"'{ORC}' run spec.yaml 2>&-")
    without_data = shell(f"'{ORC}' list >&-")

    assert (without_talk.returncode, without_talk.stdout) == (0, "")
    assert (without_data.returncode, without_data.stderr) == (0, "")


def test_a_full_disk_under_the_output_ends_with_74(kept: Kept) -> None:
    said = shell(f"'{ORC}' list --db '{kept.database}' > /dev/full")

    assert said.returncode == 74
    assert said.stderr == "orc: stdout: No space left on device; free some space\n"


def test_the_shell_completes_commands_jobs_and_steps(here: Path) -> None:
    job = submit(SLOW.replace("exec sleep 60", "true"))

    commands = ["resume", "rerun", "reject", "replay", "rebuild", "redact"]
    assert completed("orc re", here) == commands
    assert completed("orc show job_", here) == [job]
    assert completed("orc resume nothing", here) == []
    assert completed("orc tail latest --step ", here) == ["first", "wait"]
    assert completed("orc tail latest --step w", here) == ["wait"]
    assert completed("orc rerun latest --step w", here) == ["wait"]
    assert completed("orc fork latest --from f", here) == ["first"]


def completed(line: str, folder: Path) -> list[str]:
    """The shell's completions of the last word of the line."""
    environment = orc_environment(
        _ORC_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(line.count(" "))
    )
    said = subprocess.run(
        [ORC],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=True,
    )
    assert said.stderr == ""
    return said.stdout.split()


def shell(script: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in the current folder."""
    return subprocess.run(
        ["bash", "-c", script],
        env=orc_environment(),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def read_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next JSON line on the process's stdout."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the process said nothing more"
    found: dict[str, Any] = json.loads(line)
    return found

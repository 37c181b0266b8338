"""Real `orc` processes for tests: starting them, waiting with a bound, and finding what they left."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.forkserver import ForkedProcess, run_forked

ROOT = Path(__file__).resolve().parents[1]
ORC = Path(sys.executable).with_name("orc")
WAIT_S = 60.0

_NEEDS_NEW_PROCESS = re.compile("PYTHON|ORC_MARK$")
_SETTINGS = ("PROVIDER", "MODEL_BACKEND", "TEMPERATURE", "MAX_TOKENS", "TOP_P", "NO_COLOR")

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="finds processes by /proc, which Linux has"
)


def orc_environment(**extra: str) -> dict[str, str]:
    """This process's environment without what would change how a job runs."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _SETTINGS and not name.startswith("ORC_") and not name.endswith("_MODEL")
    }
    return {**kept, **extra}


def run_orc(*arguments: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run `orc` to its end in a process of its own; `extra` are environment variables.

    The process is forked from one that has the imports done already, unless a variable is
    for the interpreter itself.
    """
    environment = orc_environment(**extra)
    if not any(name.startswith("PYTHON") for name in extra):
        return run_forked(list(map(str, arguments)), cwd=cwd, env=environment, timeout_s=WAIT_S)
    return subprocess.run(
        [ORC, *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def start_orc(*arguments: str, cwd: Path, **extra: str) -> subprocess.Popen[str]:
    """Start `orc` with pipes for both of its outputs; end it with `end_process`.

    The process is forked as in `run_orc`. A whole new one starts where a variable is for the
    interpreter, and where the test finds the process by its variables (`processes_with`).
    """
    environment = orc_environment(**extra)
    if not any(map(_NEEDS_NEW_PROCESS.match, extra)):
        return ForkedProcess(list(map(str, arguments)), cwd=cwd, env=environment)
    return subprocess.Popen(
        [ORC, *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_python(
    code: str, *arguments: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a Python program that may import the project; talk to it over its pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env=orc_environment(**(env or {})),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end_process(process: subprocess.Popen[Any]) -> None:
    """Kill the process if it still runs, and close its pipes."""
    if process.poll() is None:
        process.kill()
    process.wait(WAIT_S)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None and not stream.closed:
            stream.close()


def wait_until(
    condition: Callable[[], object],
    *,
    within_s: float = 20.0,
    every_s: float = 0.005,
    what: str = "the condition",
) -> None:
    """Ask again and again until the condition holds; fails after `within_s`."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true in {within_s:g} s"
        time.sleep(every_s)


async def wait_for(condition: Callable[[], object], *, within_s: float = 20.0) -> None:
    """The same under trio, on a real clock."""
    with trio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110  (other processes set no trio.Event)
            await trio.sleep(0.005)


def new_marker() -> str:
    """A word for the environment of a process, by which it and its children are found."""
    return f"orc-test-{uuid.uuid4().hex}"


def processes_with(marker: str) -> list[int]:
    """The ids of live processes whose initial environment holds the marker."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if marker.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def members_of(group: int) -> list[int]:
    """The live processes of a process group; those that are dead and not yet reaped do not count."""
    table = subprocess.run(
        ["ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True
    ).stdout
    lines = (line.split() for line in table.splitlines())
    return [int(pid) for pid, pgid, stat in lines if int(pgid) == group and stat[0] != "Z"]


def read_events(database: Path, job_id: str | None = None) -> list[dict[str, Any]]:
    """All stored events, or one job's, each as its columns with `data` parsed."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    connection.row_factory = sqlite3.Row
    try:
        rows = connection.execute("SELECT * FROM events ORDER BY position").fetchall()
    finally:
        connection.close()
    return [
        {**dict(row), "data": json.loads(row["data"])}
        for row in rows
        if job_id in (None, row["job_id"])
    ]


def event_types(database: Path, job_id: str | None = None) -> list[str]:
    """The types of the stored events, in order."""
    return [event["type"] for event in read_events(database, job_id)]


def has_event(database: Path, type_name: str, *, step: str | None = None) -> bool:
    """Whether an event of that type is stored; false while there is no ledger yet."""
    try:
        events = read_events(database)
    except sqlite3.OperationalError:
        return False
    return any(
        event["type"] == type_name and (step is None or event["step"] == step) for event in events
    )


def without_privileges(command: Sequence[str]) -> list[str]:
    """The command, for root without the right to write where the file's mode forbids it."""
    if os.geteuid() != 0:
        return list(command)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root may write everywhere, and there is no setpriv to give that up")
    return [setpriv, "--bounding-set=-dac_override,-dac_read_search", *command]


def in_use() -> tuple[int, int, int]:
    """How many descriptors, threads and child processes this process has."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return len(os.listdir("/proc/self/fd")), threading.active_count(), len(children)


def have_grown(before: tuple[int, int, int]) -> bool:
    """Whether there are more of any of the three; a thread of an earlier test may have ended."""
    return any(now > then for now, then in zip(in_use(), before, strict=True))

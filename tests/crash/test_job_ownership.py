"""Many processes resume one job: one becomes its owner, the others name it. Readers do not write."""

from __future__ import annotations

import signal
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from orc.ledger import failpoints
from tests.cli.command_line import orc, work_in
from tests.processes import (
    WAIT_S,
    end_process,
    event_types,
    start_orc,
    start_python,
    wait_until,
)

_SPEC = """
project: wanted
steps:
  before: {value: before}
  slow:
    needs: before
    run: |
      : > "$ORC_SPEC_DIR/there"
      until [ -e "$ORC_SPEC_DIR/go" ]; do sleep 0.02; done
"""
_RACERS = """
import os, signal, sys
import orc.cli.app, orc.cli.commands.resume, orc.cli.jobs.resume, orc.scheduler.runner
from orc.cli.main import main

gate_read, gate_write = os.pipe()
children = []
for number in range(int(sys.argv[1])):
    child = os.fork()
    if child == 0:
        for fd, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{number}.{name}", os.O_WRONLY | os.O_CREAT, 0o600), fd)
        os.close(gate_write)
        os.read(gate_read, 1)
        signal.alarm(100)
        sys.argv = ["orc", "resume", "latest"]
        code = 99
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    children.append(child)
os.close(gate_write)
ended = {}
for _ in children:
    child, status = os.wait()
    number = children.index(child)
    print(number, child, os.waitstatus_to_exitcode(status), flush=True)
"""
"""A program that forks processes that resume the same job at once, with all modules loaded."""


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a job whose owner was killed."""
    work_in(tmp_path, monkeypatch)
    (tmp_path / "spec.yaml").write_text(_SPEC)
    process = start_orc("run", "spec.yaml", cwd=tmp_path)
    try:
        wait_until((tmp_path / "there").exists, what="the slow step")
        process.send_signal(signal.SIGKILL)
        process.wait(WAIT_S)
    finally:
        end_process(process)
    return tmp_path


def race(folder: Path, racers: int) -> None:
    process = start_python(f"import os; os.chdir({str(folder)!r})\n{_RACERS}", str(racers))
    try:
        assert process.stdout is not None
        refused = {}
        for _ in range(racers - 1):
            number, _, code = map(int, process.stdout.readline().split())
            refused[number] = code
        (folder / "go").touch()
        number, winner, code = map(int, process.stdout.readline().split())
    finally:
        end_process(process)
    assert set(refused.values()) == {75}
    assert code == 0, (folder / f"{number}.err").read_text()
    owner = f"is being run by process {winner} on {socket.gethostname()}"
    for other in refused:
        said = (folder / f"{other}.err").read_text()
        assert owner in said
        assert "Traceback" not in said
        assert "locked" not in said
    types = event_types(folder / "runs.db")
    assert types.count("job.resumed") == 1
    assert types[-1] == "job.succeeded"
    assert orc("verify").code == 0


def test_of_eight_racing_resumes_one_owns_the_job_and_the_others_name_it(
    interrupted: Path,
) -> None:
    race(interrupted, 8)


@pytest.mark.torture
def test_of_fifty_racing_resumes_one_owns_the_job_and_the_others_name_it(
    interrupted: Path,
) -> None:
    race(interrupted, 50)


def everything_in(database: Path) -> dict[str, list[Any]]:
    """Every row of every table."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: connection.execute(f'SELECT * FROM "{name}"').fetchall()
            for (name,) in names.fetchall()
        }
    finally:
        connection.close()


def test_readers_show_an_interrupted_job_and_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = work_in(tmp_path, monkeypatch) / "runs.db"
    (tmp_path / "spec.yaml").write_text("project: wanted\nsteps: {only: {run: 'true'}}\n")
    # The owner ends without recording the end of the command, like a killed process.
    failpoints.arm("ledger.before_begin@3=errno:EIO")
    try:
        assert orc("run", "spec.yaml").code == 74
    finally:
        failpoints.arm(None)
    before = everything_in(database)
    assert orc("list", "--json").json()["status"] == "interrupted"
    assert orc("show", "latest", "--json").json()["status"] == "interrupted"
    for words in ("tail latest", "graph latest", "verify", "doctor", "show latest -e"):
        assert orc(*words.split()).code in (0, 5)
    assert everything_in(database) == before
    assert "interrupted" not in {value for rows in before["jobs"] for value in rows}

"""The log of a process in the background: who holds its lock, and what is read of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orc.ledger.files.lock_paths import locks_dir
from orc.ledger.files.runner_log import SHOWN_BYTES, RunnerLog, new_runner_log, read_runner

AT = "2026-01-02T03:04:05.000000Z"


def begin(database: Path) -> RunnerLog | None:
    return new_runner_log(database, "job_1", command=["orc", "resume"], version=3, started_at=AT)


def test_the_lock_is_held_as_long_as_a_process_that_inherited_it_lives(tmp_path: Path) -> None:
    database = tmp_path / "runs.db"
    log = begin(database)
    assert log is not None
    program = "import sys; print('hello', flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", program],
        stdin=subprocess.PIPE,
        stdout=log.output,
        pass_fds=(log.lock,),
    )
    log.close()
    seen = read_runner(database, "job_1")
    assert seen is not None
    assert (seen.is_running, seen.version, seen.command) == (True, 3, ("orc", "resume"))
    assert begin(database) is None
    process.kill()
    process.communicate()
    seen = read_runner(database, "job_1")
    assert seen is not None
    assert not seen.is_running
    again = begin(database)
    assert again is not None
    again.close()
    seen = read_runner(database, "job_1")
    assert seen is not None
    assert seen.printed == ""


def test_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    log = begin(tmp_path / "runs.db")
    assert log is not None
    log.write("x" * SHOWN_BYTES)
    log.write("the end \udcff".encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    log.close()
    seen = read_runner(tmp_path / "runs.db", "job_1")
    assert seen is not None
    assert seen.is_cut
    assert len(seen.printed.encode()) == SHOWN_BYTES
    assert seen.printed.endswith("the end \ufffd\n")


@pytest.mark.parametrize(
    "content", [b"", b"[", b"[]\n", b'{"started_at": 1}\n', b"[" * 40_000, b"\xff\xfe\n"]
)
def test_a_damaged_log_is_as_none(content: bytes, tmp_path: Path) -> None:
    folder = locks_dir(tmp_path / "runs.db")
    folder.mkdir()
    (folder / "job_1.runner").write_bytes(content)
    assert read_runner(tmp_path / "runs.db", "job_1") is None


def test_a_link_or_a_pipe_in_the_place_of_a_log_is_not_read(tmp_path: Path) -> None:
    folder = locks_dir(tmp_path / "runs.db")
    folder.mkdir()
    log = begin(tmp_path / "runs.db")
    assert log is not None
    log.close()
    (folder / "job_2.runner").symlink_to(folder / "job_1.runner")
    os.mkfifo(folder / "job_3.runner")
    for job in ("job_2", "job_3", "job_4"):
        assert read_runner(tmp_path / "runs.db", job) is None

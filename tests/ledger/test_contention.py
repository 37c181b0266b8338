"""Many processes on one file: no "database is locked" errors, and no lost events."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.ledger.support import open_at, raw, rows
from tests.ledger.test_chain import recomputed_chain, stored_chain
from tests.processes import WAIT_S, end_process, start_python

PROCESSES = 8
APPENDS = 200

_APPENDER = """
import sys
from pathlib import Path
from tests.ledger.support import JobId, open_at, skipped, submitted

path, number, appends = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
job_id = JobId(f"job_{number:012}")
print("ready", flush=True)
sys.stdin.readline()
with open_at(path) as ledger:
    ledger.append([submitted(job_id)])
    for version in range(2, appends + 1):
        ledger.append([skipped(version, job_id=job_id)], blobs=[b"%d" % version])
"""


_FOR_A_WHILE = """
import sys, time
from pathlib import Path
from tests.ledger.support import JobId, open_at, skipped, submitted

path, number, duration_s = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
job_id = JobId(f"job_{number:012}")
version = 1
ends_s = time.monotonic() + duration_s
with open_at(path) as ledger:
    ledger.append([submitted(job_id)])
while time.monotonic() < ends_s:
    # Connections come and go: each time the last one closes, the log is emptied.
    with open_at(path) as ledger:
        for _ in range(50):
            version += 1
            ledger.append([skipped(version, job_id=job_id)], blobs=[b"%d" % version * 100])
print(version)
"""


@pytest.mark.torture
def test_eight_processes_append_for_a_minute_without_losing_events(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    writers = [
        start_python(_FOR_A_WHILE, str(path), str(number), "60") for number in range(PROCESSES)
    ]
    told = []
    try:
        for writer in writers:
            said, complaint = writer.communicate(timeout=4 * WAIT_S)
            assert (writer.returncode, complaint) == (0, "")
            told.append(int(said))
    finally:
        for writer in writers:
            end_process(writer)
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    for number, version in enumerate(told):
        job_id = f"job_{number:012}"
        counted = rows(path, "SELECT count(*), max(version) FROM events WHERE job_id = ?", job_id)
        assert counted == [(version, version)]
        assert stored_chain(path, job_id) == recomputed_chain(path, job_id)
    assert sum(told) > 1000


def append_at_once(path: Path, *, appends: int) -> None:
    """Start all processes at the same moment, and wait until each has succeeded."""
    processes = [
        start_python(_APPENDER, str(path), str(number), str(appends)) for number in range(PROCESSES)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            _release(process)
        for process in processes:
            _, said = process.communicate(timeout=WAIT_S)
            assert (process.returncode, said) == (0, "")
    finally:
        for process in processes:
            end_process(process)


def _release(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_eight_processes_append_at_once_without_losing_events(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    open_at(path).close()
    append_at_once(path, appends=APPENDS)
    assert rows(path, "SELECT job_id, count(*), max(version) FROM events GROUP BY job_id") == [
        (f"job_{number:012}", APPENDS, APPENDS) for number in range(PROCESSES)
    ]
    assert rows(path, "SELECT sum(events) FROM tally") == [(PROCESSES * APPENDS,)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    for number in range(PROCESSES):
        job_id = f"job_{number:012}"
        assert stored_chain(path, job_id) == recomputed_chain(path, job_id)


def test_eight_processes_can_create_one_file_at_once(tmp_path: Path) -> None:
    for attempt in range(2):
        path = tmp_path / f"runs{attempt}.db"
        append_at_once(path, appends=2)
        assert rows(path, "SELECT count(*) FROM events") == [(PROCESSES * 2,)]
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_long_reader_and_a_foreign_transaction_make_a_writer_wait_and_not_fail(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    open_at(path).close()
    reader, foreign = raw(path), raw(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchone()
    foreign.execute("BEGIN IMMEDIATE")
    foreign.execute("INSERT INTO orc_meta VALUES ('held', 'yes')")
    writer = start_python(_APPENDER, str(path), "1", "3")
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        _release(writer)
        try:
            writer.wait(0.5)
        except subprocess.TimeoutExpired:
            foreign.execute("COMMIT")
        _, said = writer.communicate(timeout=WAIT_S)
    finally:
        end_process(writer)
        reader.close()
        foreign.close()
    assert (writer.returncode, said) == (0, "")
    assert rows(path, "SELECT value FROM orc_meta WHERE key = 'held'") == [("yes",)]
    assert rows(path, "SELECT count(*) FROM events") == [(3,)]

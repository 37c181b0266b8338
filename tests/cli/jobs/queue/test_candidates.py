"""Which job a worker takes next, and how seldom it reads the ledger for that."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orc.cli.jobs.queue.candidates import Candidates
from orc.ledger import JobId, LedgerReader, OwnerLock
from tests.cli.approval_job import SPEC as ASKING
from tests.cli.command_line import PASSING, orc
from tests.cli.commands.test_submit import submit


@contextmanager
def candidates(database: Path) -> Iterator[tuple[Candidates, list[str]]]:
    """The candidates, and the queries that they make."""
    with LedgerReader.open(database) as ledger:
        asked: list[str] = []
        ledger.connection.set_trace_callback(asked.append)
        yield Candidates(ledger), asked


def next_of(found: Candidates, *without: str) -> JobId | None:
    return found.next(time.time(), without=without)


def test_the_oldest_job_without_an_owner_is_next(here: Path) -> None:
    jobs = [submit(PASSING) for _ in range(3)]
    lock = OwnerLock(here / "runs.db", jobs[1])
    with candidates(here / "runs.db") as (found, _):
        assert next_of(found) == jobs[0]
        lock.acquire()
        assert next_of(found, jobs[0]) == jobs[2]
        assert next_of(found, jobs[0], jobs[2]) is None
        # A process that dies releases its lock and changes nothing in the ledger.
        lock.release()
        assert next_of(found, jobs[0]) == jobs[1]


def test_the_queue_is_read_again_only_after_a_commit(here: Path) -> None:
    job = submit(PASSING)
    with candidates(here / "runs.db") as (found, asked):
        assert next_of(found) == job
        first = len(asked)
        for _ in range(5):
            assert next_of(found) == job
        assert [query for query in asked[first:] if "data_version" not in query] == []
        other = submit(PASSING)
        assert next_of(found, job) == other
        assert found.ids() == {job, other}
        assert orc("cancel", job).code == 0
        assert next_of(found) == other


def test_a_job_that_waits_is_folded_once(here: Path) -> None:
    job = submit(ASKING)
    assert orc("work", "--stop-when-empty").code == 0
    with candidates(here / "runs.db") as (found, asked):
        assert next_of(found) is None
        submit(PASSING)
        first = len(asked)
        found.next(time.time(), without=())
        assert [query for query in asked[first:] if "FROM events WHERE job_id" in query] == []
        assert orc("approve", job, "gate").code == 0
        assert next_of(found) == job

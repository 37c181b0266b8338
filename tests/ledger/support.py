"""Shared by the ledger's tests: a small projector, events, and rows read without orc's reader."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orc.ledger import JobId, Ledger, Recorded, open_ledger
from orc.ledger.events import JobStarted, JobSubmitted, Owner, Payload, StepSkipped
from orc.ledger.secrets.masking import NO_MASK

AT = "2026-01-02T03:04:05.000006Z"
JOB = JobId("job_aaaaaaaaaaaa")
OTHER = JobId("job_bbbbbbbbbbbb")


class Tally:
    """A read model with the number of events of each job."""

    def __init__(self, version: int = 1) -> None:
        self.version = version
        self.refuses = False

    def create(self, connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE IF EXISTS tally")
        connection.execute("CREATE TABLE tally (job_id TEXT PRIMARY KEY, events INTEGER) STRICT")

    def apply(self, connection: sqlite3.Connection, batch: Sequence[Recorded]) -> None:
        connection.executemany(
            "INSERT INTO tally VALUES (?, 1) ON CONFLICT DO UPDATE SET events = events + 1",
            [(recorded.job_id,) for recorded in batch],
        )
        if self.refuses:
            raise RuntimeError("the projector refuses")

    @contextmanager
    def derived_again(self, connection: sqlite3.Connection, job_id: str) -> Iterator[None]:
        connection.execute("DELETE FROM tally WHERE job_id = ?", (job_id,))
        yield


def open_at(path: Path, *, projector: Tally | None = None, create: bool = True) -> Ledger:
    return open_ledger(path, projector=projector or Tally(), mask=NO_MASK, create=create)


def submitted(job_id: JobId = JOB) -> Recorded:
    """The first event of a job."""
    event = JobSubmitted(
        project="trial",
        spec=Payload(value={"steps": []}),
        source=Payload(value="project: trial"),
        source_name="spec.yaml",
        spec_dir="/",
        submit_dir="/",
        runs_dir="/runs",
        inputs=Payload(value={}),
        orc_version="0",
    )
    return Recorded(job_id, 1, AT, event)


def skipped(version: int, *, job_id: JobId = JOB, step: str = "one") -> Recorded:
    """An event with a step and no attempt, at any place after the first."""
    return Recorded(
        job_id, version, AT, StepSkipped(step=step, reason="dependency_failed", because=("zero",))
    )


def started(version: int, *, job_id: JobId = JOB) -> Recorded:
    """An event with neither step nor attempt."""
    return Recorded(job_id, version, AT, JobStarted(owner=Owner(pid=1, host="h\u00f6st")))


def raw(path: Path, *, recursive_triggers: bool = True) -> sqlite3.Connection:
    """A plain connection that any other program could make."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    connection.execute(f"PRAGMA recursive_triggers = {int(recursive_triggers)}")
    return connection


def rows(path: Path, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """The rows of a query, on a separate connection."""
    connection = raw(path)
    try:
        return connection.execute(query, arguments).fetchall()
    finally:
        connection.close()

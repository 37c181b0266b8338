"""Finds the job that a worker takes next: the oldest one of the queue that no process runs.

The ledger is read again only when another process has committed something. Whether a job has an
owner is asked each time, since a process that dies changes nothing in the ledger.
"""

from __future__ import annotations

from collections.abc import Collection

from orc.cli.jobs.state import load_state
from orc.ledger import JobId, LedgerReader
from orc.ledger.connection import storage_errors
from orc.ledger.errors import LedgerError
from orc.ledger.files.locks import has_owner
from orc.ledger.kinds import JOB_OPEN, sql_list
from orc.projections.tables.status import IN_QUEUE
from orc.scheduler.core.fold.queued_job import takeable_at

_QUEUE = (
    "SELECT job_id, status, (SELECT max(version) FROM events WHERE events.job_id = jobs.job_id) "
    f"FROM jobs WHERE {IN_QUEUE} AND status IN {sql_list(JOB_OPEN)} ORDER BY position"
)


class Candidates:
    """The jobs of the queue, oldest first. The ledger's connection must not write."""

    def __init__(self, ledger: LedgerReader) -> None:
        self._ledger = ledger
        self._data_version: int | None = None
        self._jobs: list[tuple[JobId, str, int]] = []
        self._waiting: dict[JobId, tuple[int, float | None]] = {}

    def next(self, now: float, *, without: Collection[str]) -> JobId | None:
        """The next job to take at `now`, apart from those in `without`; None if there is none.

        Raises LedgerError.
        """
        self._read()
        for job_id, status, version in self._jobs:
            if job_id in without:
                continue
            if status == "waiting" and not self._is_due(job_id, version, now):
                continue
            if not has_owner(self._ledger.path, job_id):
                return job_id
        return None

    def ids(self) -> set[str]:
        """The jobs that were in the queue when it was last read."""
        return {job_id for job_id, *_ in self._jobs}

    def _read(self) -> None:
        connection = self._ledger.connection
        with storage_errors(self._ledger.path):
            (data_version,) = connection.execute("PRAGMA data_version").fetchone()
            if data_version == self._data_version:
                return
            self._jobs = [(JobId(row[0]), row[1], row[2]) for row in connection.execute(_QUEUE)]
        self._data_version = data_version
        waiting = {job_id for job_id, status, _ in self._jobs if status == "waiting"}
        self._waiting = {key: found for key, found in self._waiting.items() if key in waiting}

    def _is_due(self, job_id: JobId, version: int, now: float) -> bool:
        """Whether a job that waits for a person can go on: it is folded once for each version."""
        found = self._waiting.get(job_id)
        if found is None or found[0] != version:
            try:
                found = (version, takeable_at(load_state(self._ledger, job_id)))
            except LedgerError:
                # Whoever takes the job reports the damage.
                found = (version, 0.0)
            self._waiting[job_id] = found
        return found[1] is not None and found[1] <= now

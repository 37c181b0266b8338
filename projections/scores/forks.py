"""Which jobs took over results when they were forked. It loads fast."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

FORKS_MAX = 20
"""How many forks of forks are followed back."""
IS_FORK = (
    "jobs.forked_from IS NOT NULL AND EXISTS "
    "(SELECT 1 FROM steps WHERE steps.job_id = jobs.job_id AND steps.reused = 'fork')"
)
"""The SQL condition that a job took over results when it was forked."""


def forks_in(connection: sqlite3.Connection, job_ids: Sequence[str]) -> list[str]:
    """Those of the jobs that took over results when they were forked."""
    rows = connection.execute(
        f"SELECT job_id FROM jobs WHERE job_id IN ({', '.join('?' * len(job_ids))}) AND {IS_FORK}",
        tuple(job_ids),
    )
    return [job_id for (job_id,) in rows]


def is_fork(connection: sqlite3.Connection, job_id: str) -> bool:
    """Whether the job took over results when it was forked."""
    return bool(forks_in(connection, [job_id]))

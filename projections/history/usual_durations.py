"""Reads how long the steps of a project usually take, from its latest jobs."""

from __future__ import annotations

import sqlite3

JOBS_MAX = 10

_QUERY = (
    "SELECT steps.name, avg(steps.duration_s) FROM steps JOIN (SELECT job_id FROM jobs "
    "WHERE name = ? AND job_id <> ? ORDER BY position DESC LIMIT ?) USING (job_id) "
    "WHERE steps.parent IS NULL AND steps.status = 'succeeded' AND steps.reused IS NULL "
    "AND steps.duration_s IS NOT NULL GROUP BY steps.name"
)


def read_usual_durations(
    connection: sqlite3.Connection, project: str, job_id: str
) -> dict[str, float]:
    """The mean seconds of each step of the spec in the latest jobs of the project but this one."""
    return dict(connection.execute(_QUERY, (project, job_id, JOBS_MAX)))

"""Reads the tags of jobs. It loads fast."""

from __future__ import annotations

import sqlite3


def read_tagged(connection: sqlite3.Connection, tag: str) -> tuple[str, ...]:
    """The ids of the jobs with the tag, the one that was submitted first in front."""
    rows = connection.execute(
        "SELECT job_id FROM tags JOIN jobs USING (job_id) WHERE tags.name = ? ORDER BY position",
        (tag,),
    )
    return tuple(job_id for (job_id,) in rows)


def read_tags(connection: sqlite3.Connection, job_id: str) -> tuple[str, ...]:
    """The tags of a job, in alphabetical order."""
    rows = connection.execute("SELECT name FROM tags WHERE job_id = ? ORDER BY name", (job_id,))
    return tuple(name for (name,) in rows)

"""Reads the tags of jobs. It loads fast."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence


def read_tagged(connection: sqlite3.Connection, tag: str) -> tuple[str, ...]:
    """The ids of the jobs with the tag, the one that was submitted first in front."""
    rows = connection.execute(
        "SELECT job_id FROM tags JOIN jobs USING (job_id) WHERE tags.name = ? ORDER BY position",
        (tag,),
    )
    return tuple(job_id for (job_id,) in rows)


def read_tags_of(
    connection: sqlite3.Connection, job_ids: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """The tags of each of these jobs, in alphabetical order; at most some hundred jobs."""
    found: dict[str, tuple[str, ...]] = dict.fromkeys(job_ids, ())
    rows = connection.execute(
        f"SELECT job_id, name FROM tags WHERE job_id IN ({', '.join('?' * len(job_ids))}) "
        "ORDER BY name",
        tuple(job_ids),
    )
    for job_id, name in rows:
        found[job_id] += (name,)
    return found


def read_known_tags(connection: sqlite3.Connection, count: int) -> list[str]:
    """At most `count` of the tags that jobs have, in alphabetical order."""
    rows = connection.execute("SELECT DISTINCT name FROM tags ORDER BY name LIMIT ?", (count,))
    return [name for (name,) in rows]


def read_tags(connection: sqlite3.Connection, job_id: str) -> tuple[str, ...]:
    """The tags of a job, in alphabetical order."""
    rows = connection.execute("SELECT name FROM tags WHERE job_id = ? ORDER BY name", (job_id,))
    return tuple(name for (name,) in rows)

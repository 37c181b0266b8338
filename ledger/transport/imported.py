"""The note on an imported job: where it came from, and whether its commands may run here.

The note is a row of `orc_meta`, so that the job's stream does not change. This module imports
no event models, for fast start-up.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

UNTRUSTED_JOBS = (
    "SELECT substr(key, 10) FROM orc_meta WHERE substr(key, 1, 9) = 'imported:' "
    "AND instr(value, '\"trusted\": false')"
)
"""Selects the ids of imported jobs that the user has not trusted. Caches ignore their results."""


def imported(connection: sqlite3.Connection, job_id: str) -> dict[str, Any] | None:
    """The note on an imported job, with `from`, `at` and `trusted`; None for a local job."""
    row = connection.execute(
        "SELECT value FROM orc_meta WHERE key = ?", (f"imported:{job_id}",)
    ).fetchone()
    return None if row is None else dict(json.loads(row[0]))


def note_import(
    connection: sqlite3.Connection, job_id: str, source: str, at: str, *, is_trusted: bool
) -> None:
    """Write the note, in the caller's transaction; `at` is the time of the import."""
    note = json.dumps({"from": source, "at": at, "trusted": is_trusted}, ensure_ascii=True)
    connection.execute(
        "INSERT INTO orc_meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (f"imported:{job_id}", note),
    )

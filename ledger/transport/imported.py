"""The mark of a job that was imported: where it came from, and whether its commands may run here.

It stands in `orc_meta`, outside of the job's own chain, which stays as it was.
Needs no event model, so that short commands start fast.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

UNTRUSTED_JOBS = (
    "SELECT substr(key, 10) FROM orc_meta WHERE substr(key, 1, 9) = 'imported:' "
    "AND instr(value, '\"trusted\": false')"
)
"""Gives the imported jobs whose author nobody has vouched for: no cache answers from them."""


def imported(connection: sqlite3.Connection, job_id: str) -> dict[str, Any] | None:
    """Where a job came from that was imported, and whether its commands may run here; else none."""
    row = connection.execute(
        "SELECT value FROM orc_meta WHERE key = ?", (f"imported:{job_id}",)
    ).fetchone()
    return None if row is None else dict(json.loads(row[0]))


def note_import(
    connection: sqlite3.Connection, job_id: str, source: str, at: str, *, is_trusted: bool
) -> None:
    """Mark the job, in the caller's transaction; `at` is the time of the import."""
    note = json.dumps({"from": source, "at": at, "trusted": is_trusted}, ensure_ascii=True)
    connection.execute(
        "INSERT INTO orc_meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (f"imported:{job_id}", note),
    )

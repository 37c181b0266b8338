"""The note on an imported job: where it came from, and whether its commands may run here.

The note is a row of `orc_meta`, so that the job's stream does not change. This module imports
no event models, for fast start-up.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from orc.ledger.command_lines import command_line, quoted_command
from orc.ledger.errors import CorruptLedger

UNTRUSTED_JOBS = (
    "SELECT substr(key, 10) FROM orc_meta WHERE substr(key, 1, 9) = 'imported:' "
    "AND instr(value, '\"trusted\": false')"
)
"""Selects the ids of imported jobs that the user has not trusted. Caches ignore their results."""


def imported(connection: sqlite3.Connection, job_id: str) -> dict[str, Any] | None:
    """The note on an imported job, with `from`, `at` and `trusted`; None for a local job.

    Raises CorruptLedger.
    """
    row = connection.execute(
        "SELECT value FROM orc_meta WHERE key = ?", (f"imported:{job_id}",)
    ).fetchone()
    if row is None:
        return None
    # Imported here, since commands that start fast ask for the note, and few jobs have one.
    from orc.ledger.stored import parse_object, parse_time

    note = parse_object(row[0])
    if not (isinstance(note.get("trusted"), bool) and isinstance(note.get("from"), str)):
        raise CorruptLedger(
            f"orc_meta has a damaged note on the import of {job_id}; run {quoted_command('verify')}"
        )
    parse_time(note.get("at"))
    return note


def note_import(
    connection: sqlite3.Connection, job_id: str, source: str, at: str, *, is_trusted: bool
) -> None:
    """Write the note, in the caller's transaction; `at` is the time of the import."""
    import json

    note = json.dumps({"from": source, "at": at, "trusted": is_trusted}, ensure_ascii=True)
    connection.execute(
        "INSERT INTO orc_meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (f"imported:{job_id}", note),
    )


def resume_command(connection: sqlite3.Connection, job_id: str) -> str:
    """The command that continues the job; `--trust` is needed for an author who is not trusted."""
    note = imported(connection, job_id)
    is_trusted = note is None or note["trusted"]
    return command_line("resume", job_id, *([] if is_trusted else ["--trust"]))

"""Reads the notes about jobs."""

from __future__ import annotations

import sqlite3

from orc.projections.tables.assessments import NoteRow
from orc.projections.tables.job_view import read_rows


def read_notes(connection: sqlite3.Connection, job_id: str) -> list[NoteRow]:
    """The notes of a job, the first one in front."""
    return read_rows(connection, NoteRow, "job_id = ? ORDER BY version", job_id)


def read_note_text(connection: sqlite3.Connection, note: NoteRow) -> str:
    """The whole text of a note; what is left of it if its bytes were removed."""
    if note.note_sha256 is None:
        return str(_event_text(connection, note) or note.note or "")
    row = connection.execute(
        "SELECT content FROM blobs WHERE sha256 = ?", (note.note_sha256,)
    ).fetchone()
    if row is None or not isinstance(row[0], bytes | str):
        return "(its bytes were removed)"
    return row[0].decode("utf-8", "replace") if isinstance(row[0], bytes) else row[0]


def _event_text(connection: sqlite3.Connection, note: NoteRow) -> str | None:
    row = connection.execute(
        "SELECT json_extract(data, '$.text.value') FROM events WHERE job_id = ? AND version = ?",
        (note.job_id, note.version),
    ).fetchone()
    return None if row is None else row[0]

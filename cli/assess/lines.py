"""The scores, tags and notes of a job, for `orc show`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from orc.cli.terminal.times import when
from orc.ledger.wording import count_text
from orc.projections.scores.overview import errors_text, means_text, read_means
from orc.projections.tables.notes import read_note_text, read_notes
from orc.projections.tables.tags import read_tags

_NOTES_MAX = 10


def assessment_lines(connection: sqlite3.Connection, job_id: str) -> Iterator[tuple[str, str]]:
    """Labels and lines, to be made safe: tags, means of scores, and the last notes."""
    tags = read_tags(connection, job_id)
    if tags:
        yield "tags", ", ".join(tags)
    means = read_means(connection, job_id)
    if means:
        errors = errors_text(means)
        yield "scores", means_text(means, most=10) + (f"; {errors}" if errors else "")
    notes = read_notes(connection, job_id)
    if len(notes) > _NOTES_MAX:
        yield "notes", f"{count_text(len(notes) - _NOTES_MAX, 'earlier note')}: --json has all"
    for note in notes[-_NOTES_MAX:]:
        who = f"{note.by_person}, " if note.by_person else ""
        yield "note", f"{who}{when(note.noted_at)}: {read_note_text(connection, note)}"


def assessment_values(connection: sqlite3.Connection, job_id: str) -> dict[str, Any]:
    """The same for `--json`."""
    return {
        "tags": list(read_tags(connection, job_id)),
        "scores": [mean.value() for mean in read_means(connection, job_id)],
        "notes": [
            {
                "text": read_note_text(connection, note),
                "by": note.by_person,
                "at": note.noted_at,
                "seq": note.version,
            }
            for note in read_notes(connection, job_id)
        ],
    }

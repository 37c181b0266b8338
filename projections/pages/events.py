"""The page of the events of a job, in parts. Each event has an address of its own: `#v12`."""

from __future__ import annotations

from itertools import islice
from typing import Any

from msgspec import Struct

from orc.ledger.events import Recorded
from orc.ledger.reader import LedgerReader
from orc.projections.folder.jsonl import event_object, render_line
from orc.projections.pages.links import Links
from orc.projections.tables.job_view import read_rows
from orc.projections.tables.rows import JobRow

PART = 200
_CHARS = 300
_DATA_CHARS = 4_000
_IN_WORDS = ("kind", "message", "reason", "path", "option", "status", "by")


class EventLine(Struct, frozen=True):
    """An event for people: its number in the job, its time, its type, its step and the rest."""

    version: int
    at: str
    type: str
    step: str
    attempt: int | None
    words: str
    data: str


def read_event_page(
    reader: LedgerReader, job_id: str, links: Links, *, at: int | None, part: int
) -> dict[str, Any]:
    """The values of the template `events.html`: a part, or the part with the event `at`."""
    head = reader.head(job_id).version
    parts = max(1, -(-head // PART))
    number = min(parts, max(1, part if at is None else -(-at // PART)))
    begin = (number - 1) * PART
    (job,) = read_rows(reader.connection, JobRow, "job_id = ?", job_id)
    recorded = islice(reader.read_stream(job_id, after=begin), PART)
    return {
        "job": job,
        "lines": [read_line(one) for one in recorded],
        "head": head,
        "part": number,
        "parts": parts,
        "links": links,
    }


def read_line(recorded: Recorded) -> EventLine:
    """One event in words, with the beginning of what it records."""
    shown = event_object(recorded, with_hash=False)
    words = "; ".join(str(shown[key]) for key in _IN_WORDS if shown.get(key))
    return EventLine(
        recorded.version,
        recorded.recorded_at,
        recorded.event.type,
        str(shown.get("step", "")),
        shown.get("attempt"),
        words[:_CHARS],
        render_line(shown)[:_DATA_CHARS],
    )

"""What is noted of a job: where it was imported from, what was removed, and why it left the queue."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from orc.cli.terminal.times import when
from orc.ledger.transport.imported import imported
from orc.ledger.wording import count_text, size_text
from orc.projections.tables.status import left_queue_text


def removals_of(connection: sqlite3.Connection, job_id: str) -> list[dict[str, Any]]:
    """The job's events `blob.removed`, as JSON values."""
    rows = connection.execute(
        "SELECT version, recorded_at, data FROM events WHERE job_id = ? AND type = 'blob.removed' "
        "ORDER BY version",
        (job_id,),
    ).fetchall()
    found = []
    for version, at, data in rows:
        fields = _fields(data)
        counted = {"blobs": len(fields["digests"]), "size_bytes": fields["size_bytes"]}
        why = {"cause": fields["cause"], "reason": fields.get("reason")}
        found.append({"seq": version, "at": at, **counted, **why})
    return found


def note_lines(connection: sqlite3.Connection, job_id: str) -> Iterator[tuple[str, str]]:
    """The job's import, removals, and end in the queue, as labels and lines to be made safe."""
    last = connection.execute(
        "SELECT type, data FROM events WHERE job_id = ? ORDER BY version DESC LIMIT 1", (job_id,)
    ).fetchone()
    if last is not None and last[0] == "job.interrupted":
        fields = _fields(last[1])
        if fields.get("queue") == "left":
            yield "queue", left_queue_text(fields.get("crashes"))
    note = imported(connection, job_id)
    if note is not None:
        trust = "" if note["trusted"] else "; not trusted: orc resume refuses it"
        yield "imported", f"from {note['from']} on {when(note['at'])}{trust}"
    for removal in removals_of(connection, job_id):
        reason = f": {removal['reason']}" if removal["reason"] else ""
        size = size_text(removal["size_bytes"])
        yield (
            "removed",
            f"the bytes of {count_text(removal['blobs'], 'blob')} ({size}) by "
            f"orc {removal['cause']} on {when(removal['at'])}, event {removal['seq']}{reason}",
        )


def _fields(data: object) -> dict[str, Any]:
    # Imported here, since `orc show` starts fast, and few jobs have such an event.
    from orc.ledger.stored import parse_object

    return parse_object(data)

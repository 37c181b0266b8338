"""What `orc show` says of a job that was imported, and of bytes that were removed. Starts fast."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orc.ledger.transport.imported import imported


def removals(connection: sqlite3.Connection, job_id: str) -> list[dict[str, Any]]:
    """Each removal of bytes that the job has an event of, as a JSON value."""
    rows = connection.execute(
        "SELECT version, recorded_at, data FROM events WHERE job_id = ? AND type = 'blob.removed' "
        "ORDER BY version",
        (job_id,),
    ).fetchall()
    found = []
    for version, at, data in rows:
        fields = json.loads(data)
        counted = {"blobs": len(fields["digests"]), "size_bytes": fields["size_bytes"]}
        why = {"cause": fields["cause"], "reason": fields.get("reason")}
        found.append({"seq": version, "at": at, **counted, **why})
    return found


def shown_folder(connection: sqlite3.Connection, path: Path, job_id: str, runs_dir: str) -> Path:
    """The job's run folder, which for an imported job is always beside the ledger."""
    foreign = imported(connection, job_id) is not None
    return (path.parent / "runs" if foreign else Path(runs_dir)) / job_id


def note_lines(connection: sqlite3.Connection, job_id: str) -> Iterator[tuple[str, str]]:
    """The same for people, a label and a line each; made safe by the caller."""
    note = imported(connection, job_id)
    if note is not None:
        trust = "" if note["trusted"] else "; not trusted: it cannot run here"
        yield "imported", f"from {note['from']} on {note['at'][:10]}{trust}"
    for removal in removals(connection, job_id):
        reason = f": {removal['reason']}" if removal["reason"] else ""
        yield (
            "removed",
            f"the bytes of {removal['blobs']} blob(s) ({removal['size_bytes']} bytes) by "
            f"orc {removal['cause']} on {removal['at'][:10]}, event {removal['seq']}{reason}",
        )

"""Knows that a ledger was copied, restored or moved: it records by which file it was last written.

A copy of a ledger has the same events and the same identity. The next time that it is written, it gets
an identity of its own, and a line in its lineage. Nothing is refused: a ledger of which this is not
certain counts as a copy, which works beside itself. A moved file keeps its inode, and so its identity.
The device is not recorded, since it changes with a mount.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from typing import Literal, NamedTuple

LINEAGE_MAX = 100
"""Where inodes change with each mount, every mount adds a line: the last ones are kept."""

How = Literal["copied", "restored"]


class Ancestor(NamedTuple):
    """An earlier identity of a ledger, and how the present one came about.

    `path` is where the ledger with the earlier identity was, `position` its last event that this ledger
    has, `at` when the change was noticed. "copied": this file is another one at another path, perhaps
    after a move to another disk; "restored": it replaced that one.
    """

    ledger_id: str
    path: str
    how: How
    position: int
    at: str

    @property
    def text(self) -> str:
        """A line for people."""
        return f"{self.how} from {self.path} (identity {self.ledger_id[:12]}) before {self.at}"


def lineage_of(connection: sqlite3.Connection) -> tuple[Ancestor, ...]:
    """The earlier identities of the ledger, oldest first."""
    found = _read(connection, "lineage")
    lines = found if isinstance(found, list) else []
    try:
        return tuple(Ancestor(**line) for line in lines)
    except TypeError:
        return ()


def origin_of(connection: sqlite3.Connection, job_id: str) -> Ancestor | None:
    """The ledger from which this one was copied with the job; None if the job began in this one."""
    copies = [found for found in lineage_of(connection) if found.how == "copied"]
    row = connection.execute(
        "SELECT position FROM events WHERE job_id = ? AND version = 1", (job_id,)
    ).fetchone()
    if not copies or row is None or row[0] > copies[-1].position:
        return None
    return copies[-1]


def is_settled(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the ledger was last written by this file, at this path."""
    return _read(connection, "seat") == _location(path)


def settle(connection: sqlite3.Connection, path: Path) -> None:
    """Record the file, in the caller's transaction; a copy gets a new identity. Raises OSError.

    The identity stays as long as a process runs a job of it: the file may have another inode for
    another reason, and no command is refused for that.
    """
    # Imported here, as below: commands that start fast ask whether the ledger is a copy.
    import json
    from datetime import UTC, datetime

    from orc.ledger.files.identity import new_ledger_id, owned_job_of

    now, before = _location(path), _read(connection, "seat")
    how = _how(before, now)
    if how is not None and isinstance(before, dict):
        if owned_job_of(path) is not None:
            return
        (known,) = connection.execute(
            "SELECT value FROM orc_meta WHERE key = 'ledger_id'"
        ).fetchone()
        (position,) = connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()
        at = datetime.now(UTC).isoformat(timespec="seconds")
        ancestor = Ancestor(str(known), str(before.get("path")), how, int(position), at)
        lines = [found._asdict() for found in (*lineage_of(connection), ancestor)]
        _write(connection, "lineage", json.dumps(lines[-LINEAGE_MAX:]))
        _write(connection, "ledger_id", new_ledger_id())
    _write(connection, "seat", json.dumps(now))


def _how(before: object, now: dict[str, object]) -> How | None:
    """How the file became another one; None if it is the same, or nothing is known."""
    if not isinstance(before, dict) or before == now:
        return None
    is_same_path = before.get("path") == now["path"]
    there = None if is_same_path else _stat(before.get("path"))
    here = _stat(now["path"])
    if there is not None and here is not None and os.path.samestat(there, here):
        # Another name of this file, such as that of a mount.
        return None
    is_still_there = there is not None and stat.S_ISREG(there.st_mode)
    if before.get("inode") == now["inode"] and not is_still_there:
        return None
    return "restored" if is_same_path else "copied"


def _location(path: Path) -> dict[str, object]:
    return {"path": os.fspath(path), "inode": os.stat(path).st_ino}


def _stat(path: object) -> os.stat_result | None:
    try:
        return os.stat(str(path))
    except (OSError, ValueError):
        return None


def _read(connection: sqlite3.Connection, key: str) -> object:
    row = connection.execute("SELECT value FROM orc_meta WHERE key = ?", (key,)).fetchone()
    if row is None:
        return None
    import json

    try:
        return json.loads(row[0])
    except (ValueError, RecursionError):
        return None


def _write(connection: sqlite3.Connection, key: str, value: str) -> None:
    connection.execute(
        "INSERT INTO orc_meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (key, value),
    )

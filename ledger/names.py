"""Which job a person means. Needs no event model, so that short commands start fast."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ledger.errors import NoSuchJob


def find_job(connection: sqlite3.Connection, name: str, *, path: Path) -> str:
    """The id of the one job that `name` means: an id, any unique part of one, or `latest`.

    Raises NoSuchJob, which lists what the name could have meant.
    """
    first_events = "SELECT job_id FROM events WHERE version = 1"
    if name == "latest":
        row = connection.execute(f"{first_events} ORDER BY position DESC LIMIT 1").fetchone()
        if row is None:
            raise NoSuchJob(f"{path} holds no job yet; `orc run SPEC` submits one")
        return str(row[0])
    exact = connection.execute(f"{first_events} AND job_id = ?", (name,)).fetchone()
    if exact:
        return str(exact[0])
    rows = connection.execute(
        f"{first_events} AND instr(job_id, ?) ORDER BY position DESC LIMIT 6", (name.lower(),)
    ).fetchall()
    if len(rows) == 1 and name:
        return str(rows[0][0])
    if not rows or not name:
        raise NoSuchJob(f"no job in {path} goes by {name!r}; `orc list` shows them")
    listed = ", ".join(row[0] for row in rows[:5])
    more = ", ..." if len(rows) > 5 else ""
    raise NoSuchJob(f"{name!r} could be any of {listed}{more}; give more of the id")

"""Finds a job by a part of its id or by `latest`. Imports no event models, for fast start-up."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from orc.ledger.command_lines import quoted_command
from orc.ledger.errors import NoSuchJob
from orc.ledger.stored import check_job_id
from orc.ledger.wording import count_text

_LATEST = re.compile(r"latest(?:~([0-9]{1,9}))?", re.ASCII)


def find_job(connection: sqlite3.Connection, name: str, *, path: Path) -> str:
    """The id of the job that `name` identifies: an id, a unique part of an id, or `latest`.

    `latest~1` is the job before the latest one. Raises NoSuchJob, with the candidates if the
    name is ambiguous, and CorruptLedger if the ledger has ids that are none.
    """
    first_events = "SELECT job_id FROM events WHERE version = 1"
    if latest := _LATEST.fullmatch(name):
        return _latest(connection, int(latest[1] or 0), path=path)
    exact = connection.execute(f"{first_events} AND job_id = ?", (name,)).fetchone()
    if exact:
        return check_job_id(exact[0], where=str(path))
    rows = connection.execute(
        f"{first_events} AND instr(job_id, ?) ORDER BY position DESC LIMIT 6", (name.lower(),)
    ).fetchall()
    if len(rows) == 1 and name:
        return check_job_id(rows[0][0], where=str(path))
    if not rows or not name:
        raise NoSuchJob(
            f"no job in {path} has {name!r} in its id; {quoted_command('list')} shows all jobs"
        )
    listed = ", ".join(check_job_id(row[0], where=str(path)) for row in rows[:5])
    more = ", ..." if len(rows) > 5 else ""
    raise NoSuchJob(f"{name!r} matches several jobs: {listed}{more}; give more of the id")


def _latest(connection: sqlite3.Connection, back: int, *, path: Path) -> str:
    """The job that was submitted `back` jobs before the last one."""
    row = connection.execute(
        "SELECT job_id FROM events WHERE version = 1 ORDER BY position DESC LIMIT 1 OFFSET ?",
        (back,),
    ).fetchone()
    if row is not None:
        return check_job_id(row[0], where=str(path))
    count = connection.execute("SELECT count(*) FROM events WHERE version = 1").fetchone()[0]
    if not count:
        raise NoSuchJob(f"{path} has no jobs yet; {quoted_command('run', 'SPEC')} submits one")
    jobs = count_text(count, "job")
    raise NoSuchJob(
        f"{path} has only {jobs}, so latest~{back} does not exist; see {quoted_command('list')}"
    )

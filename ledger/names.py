"""Job ids: checks those that are stored, and finds a job by a part of its id or by `latest`.

A ledger may come from another person, so that an id is checked before it becomes a part of a path. This
module also words what is stored in place of something else. It imports no events and no JSON: commands
that only read tables use it at their start.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import suppress
from pathlib import Path

from orc.ledger.command_lines import quoted_command
from orc.ledger.errors import CorruptLedger, NoSuchJob
from orc.ledger.wording import count_text

_JOB_ID = r"job_[a-z0-9]{12}"
_LATEST = r"latest(?:~([0-9]{1,9}))?"
_SHOWN_CHARS = 60
_RECENT_EVENTS = 10_000
_NEWEST = "ORDER BY position DESC LIMIT 1 OFFSET ?"
_RECENT = (
    "SELECT job_id FROM events WHERE version = 1 "
    f"AND position > (SELECT max(position) FROM events) - ? {_NEWEST}"
)
_OF_ALL = f"""
    WITH RECURSIVE ids (id) AS (
        SELECT min(job_id) FROM events
        UNION ALL
        SELECT (SELECT min(job_id) FROM events WHERE job_id > id) FROM ids WHERE id IS NOT NULL
    )
    SELECT job_id FROM ids CROSS JOIN events ON job_id = id AND version = 1 {_NEWEST}
"""
"""Goes from id to id in the index: the events of each job are passed over."""


def is_job_id(value: object) -> bool:
    """Whether the value is `job_` and twelve lower-case letters or digits."""
    return type(value) is str and re.fullmatch(_JOB_ID, value) is not None


def check_job_id(value: object, *, where: str) -> str:
    """The value, which is a job id: it becomes part of paths. Raises CorruptLedger."""
    if not is_job_id(value):
        raise CorruptLedger(f"{where}: {shown(value)} is not a job id; {verify_first()}")
    return str(value)


def find_job(connection: sqlite3.Connection, name: str, *, path: Path) -> str:
    """The id of the job that `name` identifies: an id, a unique part of an id, or `latest`.

    `latest~1` is the job before the latest one. Raises NoSuchJob, with the candidates if the
    name is ambiguous, and CorruptLedger if the ledger has ids that are none.
    """
    first_events = "SELECT job_id FROM events WHERE version = 1"
    if latest := re.fullmatch(_LATEST, name):
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
        raise NoSuchJob(f"no job in {path} has {name!r} in its id; {_listing(connection, name)}")
    listed = ", ".join(check_job_id(row[0], where=str(path)) for row in rows[:5])
    more = ", ..." if len(rows) > 5 else ""
    raise NoSuchJob(f"{name!r} matches several jobs: {listed}{more}; give more of the id")


def _listing(connection: sqlite3.Connection, name: str) -> str:
    """Where the job is listed that was meant: `name` may be its project or the file of its spec."""
    query = "SELECT name FROM jobs WHERE ? IN (name, spec_file) ORDER BY position DESC LIMIT 1"
    # A ledger may have no tables of this version.
    with suppress(sqlite3.Error):
        row = connection.execute(query, (os.path.normpath(name),)).fetchone()
        if row is not None and isinstance(row[0], str):
            return f"{quoted_command('list', '--project', row[0])} shows those of this project"
    return f"{quoted_command('list')} shows all jobs"


def _latest(connection: sqlite3.Connection, back: int, *, path: Path) -> str:
    """The job that was submitted `back` jobs before the last one.

    The last events most often have its first one. If not, the events of large jobs are not read.
    """
    row = (
        connection.execute(_RECENT, (_RECENT_EVENTS, back)).fetchone()
        or connection.execute(_OF_ALL, (back,)).fetchone()
    )
    if row is not None:
        return check_job_id(row[0], where=str(path))
    count = connection.execute("SELECT count(*) FROM events WHERE version = 1").fetchone()[0]
    if not count:
        raise NoSuchJob(f"{path} has no jobs yet; {quoted_command('run', 'SPEC')} submits one")
    jobs = count_text(count, "job")
    raise NoSuchJob(
        f"{path} has only {jobs}, so latest~{back} does not exist; see {quoted_command('list')}"
    )


def shown(value: object) -> str:
    """A value for a message: short, in one line of ASCII."""
    if isinstance(value, int) and value.bit_length() > 200:
        return "a number with many digits"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, str):
        if is_plain(value):
            return value
        return ascii(value[:_SHOWN_CHARS]) + ("..." if len(value) > _SHOWN_CHARS else "")
    return shown_text(ascii(value[:_SHOWN_CHARS] if isinstance(value, bytes) else value))


def is_plain(text: str) -> bool:
    """Whether a text needs no quotes in a message."""
    return is_job_id(text) or (0 < len(text) <= _SHOWN_CHARS and text.isascii() and text.isdigit())


def shown_text(text: str) -> str:
    """A text for a message, cut if it is long."""
    return text if len(text) <= 200 else f"{text[:200]}..."


def verify_first() -> str:
    """What to do about a ledger that another program has changed."""
    verify = quoted_command("verify")
    return f"run {verify} to see what was changed, and restore the ledger from a backup"

"""Decides in which folder a job's files are. Imports nothing that loads slowly.

A ledger may come from another person, so the folder that it records is a place to write to only if
it is already this job's.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from pathlib import Path

from orc.ledger.files.folder import Folder
from orc.ledger.stored import check_job_id
from orc.ledger.transport.imported import imported

_LINE_BYTES_MAX = 1024 * 1024


def choose_folder(
    connection: sqlite3.Connection, job_id: str, recorded: str | None, runs_dir: Path
) -> Path:
    """The run folder of a job: in the folder `recorded` if it is there already, else in `runs_dir`.

    A folder is the job's if `is_folder_of_job` says so: another ledger may have a job with the same
    id. An imported job is always in `runs_dir`.
    Raises CorruptLedger if `job_id` is none.
    """
    other = runs_dir / check_job_id(job_id, where="the ledger")
    if not recorded or imported(connection, job_id) is not None:
        return other
    folder = Path(recorded) / job_id
    if folder == other:
        return other
    row = connection.execute(
        "SELECT hash FROM events WHERE job_id = ? AND version = 1", (job_id,)
    ).fetchone()
    return folder if row is not None and is_folder_of_job(folder, job_id, row[0]) else other


def is_folder_of_job(path: Path, job_id: str, first_hash: str) -> bool:
    """Whether the folder is this user's, no other user can write to it, and it is the job's.

    The first line of its `events.jsonl` has the job's id and the hash of its first event. A link is
    not followed.
    """
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return False
    if not path.is_absolute() or not stat.S_ISDIR(found.st_mode):
        return False
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        return False
    lines = Folder(path).read("events.jsonl", size_max=_LINE_BYTES_MAX) or b""
    try:
        value = json.loads(lines.partition(b"\n")[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and (value.get("job_id"), value.get("hash")) == (
        job_id,
        first_hash,
    )

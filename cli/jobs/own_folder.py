"""Decides in which folder a job's files are. Imports nothing that loads slowly.

A ledger may come from another person, so the folder that it records is a place to write to only if
it is already this job's.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orc.ledger.connection import storage_errors
from orc.ledger.files.exposure import examine_folder
from orc.ledger.files.ledger_origin import origin_of
from orc.ledger.files.project_places import is_inside, place_of
from orc.ledger.names import check_job_id
from orc.ledger.transport.imported import imported

if TYPE_CHECKING:
    from orc.ledger.reader import LedgerReader

_LINE_BYTES_MAX = 1024 * 1024


Use = Literal["read", "write"]
"""What a command does with a run folder."""


def folder_of(ledger: LedgerReader, job_id: str, *, use: Use) -> Path:
    """The run folder of a job, else one in `runs/` beside the ledger, as `choose_folder` says."""
    with storage_errors(ledger.path):
        row = ledger.connection.execute(
            "SELECT runs_dir FROM jobs WHERE job_id = ?", (job_id,)
        ).fetchone()
        recorded = None if row is None else row[0]
        beside = ledger.path.parent / "runs"
        return choose_folder(ledger.connection, ledger.path, job_id, recorded, beside, use=use)


def choose_folder(
    connection: sqlite3.Connection,
    database: Path,
    job_id: str,
    recorded: str | None,
    runs_dir: Path,
    *,
    use: Use,
) -> Path:
    """The run folder of a job: in `runs_dir`, or in the folder `recorded` if that is this ledger's.

    A copy of a ledger, or a forged one, may record a folder of the original. It is written to only if
    the locks beside `database` have a note about it, or if it is inside the ledger's own folder, with
    which it was copied. What is there must be the job's, as `is_folder_of_job` says, or not published
    yet. An imported job is always in `runs_dir`. Raises CorruptLedger if `job_id` is none.
    """
    is_beside_original = _is_beside_original(connection, database, job_id)
    if is_beside_original and runs_dir == database.parent / "runs":
        runs_dir = database.with_name(f"{database.name}.runs")
    other = runs_dir / check_job_id(job_id, where="the ledger")
    if not recorded or imported(connection, job_id) is not None:
        return other
    folder = place_of(recorded, database) / job_id
    if folder == other:
        return other
    # Imported here, as below: most folders are in `runs_dir`, and `orc show` starts fast.
    from orc.ledger.files.run_places import noted_folder

    row = connection.execute(
        "SELECT hash FROM events WHERE job_id = ? AND version = 1", (job_id,)
    ).fetchone()
    if row is None or is_folder_of_job(other, job_id, row[0]):
        return other
    is_noted = noted_folder(database, job_id) == folder
    if is_folder_of_job(folder, job_id, row[0]):
        is_copied = is_inside(recorded, database) and not is_beside_original
        is_ours = is_noted or is_copied
        return folder if is_ours or use == "read" else other
    return folder if is_noted and _is_unpublished(folder) else other


def _is_beside_original(connection: sqlite3.Connection, database: Path, job_id: str) -> bool:
    """Whether the ledger is a copy in the folder of its original, and has the job from there."""
    origin = origin_of(connection, job_id)
    return origin is not None and Path(origin.path).parent == database.parent


def _is_unpublished(path: Path) -> bool:
    """Whether the folder does not exist, or was left without events by a process that was killed."""
    return not path.is_symlink() and not os.path.lexists(path / "events.jsonl")


def is_folder_of_job(path: Path, job_id: str, first_hash: str) -> bool:
    """Whether no other user can change the folder (see `examine_folder`), and it is the job's.

    The first line of its `events.jsonl` has the job's id and the hash of its first event. A link is
    not followed.
    """
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return False
    if not path.is_absolute() or not stat.S_ISDIR(found.st_mode) or not _is_own(path):
        return False
    import json

    from orc.ledger.files.folder import Folder

    lines = Folder(path).read("events.jsonl", size_max=_LINE_BYTES_MAX) or b""
    try:
        value = json.loads(lines.partition(b"\n")[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and (value.get("job_id"), value.get("hash")) == (
        job_id,
        first_hash,
    )


def _is_own(path: Path) -> bool:
    try:
        return examine_folder(path).is_own
    except OSError:
        return False

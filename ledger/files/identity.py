"""Records in the folder of lock files to which ledger they belong.

A lock file has the name of a job and lies beside the ledger. If another ledger takes the name while a
job of the former one runs, the two would share their locks.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from orc.ledger.errors import StorageError
from orc.ledger.files.descriptors import open_regular
from orc.ledger.files.lock_paths import locks_dir
from orc.ledger.files.locks import NOT_OF_JOBS, has_owner

_NAME = "ledger.json"
_BYTES_MAX = 4096


def new_ledger_id() -> str:
    """A random identity for a ledger. A copy of the file keeps it until it is written."""
    return os.urandom(16).hex()


def claim_locks(database: Path, ledger_id: str) -> None:
    """Record that the lock files beside the file are those of this ledger. Hold the write lock.

    Raises StorageError if they are those of another ledger whose job is still being run.
    """
    path = locks_dir(database) / _NAME
    found = _read(path)
    if found == ledger_id:
        return
    # Without a record, the lock files are those of an earlier version, or new.
    name = None if found is None else owned_job_of(database)
    if name is not None:
        raise StorageError(
            f"{database} is not the ledger that had this name before, and a process still runs "
            f"{name} of the other one; wait for its end, or name another file with --db"
        )
    # Imported here: this happens once in the life of a ledger.
    from orc.ledger.files.folder import Folder
    from orc.ledger.files.temporary import sweep

    sweep(path.parent, [_NAME])
    Folder(path.parent).write(_NAME, json.dumps({"ledger_id": ledger_id}).encode())


def owned_job_of(database: Path) -> str | None:
    """A job that a live process owns, by the lock files beside the ledger; None if there is none."""
    try:
        names = sorted(os.listdir(locks_dir(database)))
    except FileNotFoundError:
        return None
    return next((name for name in names if _is_of_job(name) and has_owner(database, name)), None)


def _is_of_job(name: str) -> bool:
    """Whether a lock file is that of a job's owner: notes and logs have a suffix."""
    return name not in NOT_OF_JOBS and "." not in name


def _read(path: Path) -> object:
    try:
        fd = open_regular(path)
    except OSError:
        return None
    try:
        note = json.loads(os.read(fd, _BYTES_MAX))
    except (OSError, ValueError, RecursionError):
        return None
    finally:
        os.close(fd)
    return note.get("ledger_id") if isinstance(note, dict) else None

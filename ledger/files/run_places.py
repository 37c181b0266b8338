"""Notes in the folder of lock files: in which folder this ledger's processes publish a job.

A ledger records the folder too, but a copy or a forged ledger has the same record. The note is beside
the file for which it was written, and names its inode, so that no other file has it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from orc.ledger.files.folder import Folder
from orc.ledger.files.locks import locks_dir
from orc.ledger.files.temporary import sweep

_BYTES_MAX = 16_384


def note_folder(database: Path, job_id: str, folder: Path) -> None:
    """Note that the owner of the job publishes it in this folder. Raises OSError."""
    if noted_folder(database, job_id) != folder:
        note = {"folder": os.fspath(folder), "inode": os.stat(database).st_ino}
        notes, name = locks_dir(database), f"{job_id}.folder"
        sweep(notes, [name])
        Folder(notes).write(name, json.dumps(note).encode())


def noted_folder(database: Path, job_id: str) -> Path | None:
    """The folder in which a process of this ledger last published the job; None if none is known."""
    content = Folder(locks_dir(database)).read(f"{job_id}.folder", size_max=_BYTES_MAX)
    try:
        note = json.loads(content or b"null")
        is_ours = note["inode"] == os.stat(database).st_ino
        return Path(str(note["folder"])) if is_ours else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None

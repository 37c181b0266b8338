"""Notes in the folder of lock files: in which folders this ledger's processes put the files of a job.

A ledger records the folders too, but a copy or a forged ledger has the same record. The note is beside
the file for which it was written, and names its inode, so that no other file has it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from orc.ledger.files.folder import Folder
from orc.ledger.files.lock_paths import locks_dir
from orc.ledger.files.project_places import place_of, recorded_target
from orc.ledger.files.temporary import sweep
from orc.ledger.files.way import real_path
from orc.ledger.files.written_paths import current_folder

_BYTES_MAX = 16_384
_RUN = ".folder"
_OUTPUT = ".output"


def note_folder(database: Path, job_id: str, folder: Path) -> None:
    """Note that the owner of the job publishes it in this folder. Raises OSError."""
    _note(database, f"{job_id}{_RUN}", folder)


def noted_folder(database: Path, job_id: str) -> Path | None:
    """The folder in which a process of this ledger last published the job; None if none is known."""
    return _noted(database, f"{job_id}{_RUN}")


def note_output(database: Path, job_id: str, folder: Path) -> None:
    """Note that the owner of the job copies its files to this `output_dir`. Raises OSError."""
    _note(database, f"{job_id}{_OUTPUT}", folder)


def noted_outputs(database: Path) -> Iterator[tuple[str, Path]]:
    """The jobs that a process of this ledger copied to an `output_dir`, each with the last one."""
    try:
        names = sorted(os.listdir(locks_dir(database)))
    except OSError:
        return
    for name in names:
        folder = _noted(database, name) if name.endswith(_OUTPUT) else None
        if folder is not None:
            yield name.removesuffix(_OUTPUT), folder


def _note(database: Path, name: str, folder: Path) -> None:
    if _noted(database, name) != folder:
        path = real_path(database)
        place = recorded_target(folder, path, given_in=current_folder() or path.parent)
        note = {"folder": place, "inode": os.stat(database).st_ino}
        notes = locks_dir(database)
        sweep(notes, [name])
        Folder(notes).write(name, json.dumps(note).encode())


def _noted(database: Path, name: str) -> Path | None:
    content = Folder(locks_dir(database)).read(name, size_max=_BYTES_MAX)
    try:
        note = json.loads(content or b"null")
        is_ours = note["inode"] == os.stat(database).st_ino
        return place_of(str(note["folder"]), real_path(database)) if is_ours else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None

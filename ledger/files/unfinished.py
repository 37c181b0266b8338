"""Marks a folder while it is written, so that a killed command can be given again.

The mark is a locked file in the folder. A folder without a mark is complete, or not ours.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orc.ledger import failpoints
from orc.ledger.errors import FileIsThere, StorageError
from orc.ledger.files.descriptors import NO_LOCKS
from orc.ledger.files.folder import Folder

MARK = ".orc-unfinished"
"""The name of the file in a folder that is being written, or was when its process was killed."""

_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NOTE_BYTES_MAX = 4096


@contextmanager
def unfinished(path: Path, what: str) -> Iterator[Folder]:
    """A folder that does not exist, is empty, or was left unfinished by the same command.

    `what` names the content; an unfinished folder of other content is refused. Temporary files that
    a killed process left in it are removed. Raises FileIsThere, StorageError.
    """
    refuse_full(path, what)
    folder = Folder(path)
    try:
        folder.create()
        fd = os.open(path / MARK, _OPEN, 0o600)
        try:
            _lock(fd, path)
            _refuse_filled(path, what, fd)
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps(what).encode(), 0)
            os.fsync(fd)
            failpoints.hit("export.marked")
            folder.sweep()
            yield folder
            failpoints.hit("export.written")
            folder.remove(MARK)
        finally:
            os.close(fd)
    except OSError as error:
        place = f"{path}: {error.filename}" if isinstance(error.filename, str) else str(path)
        raise StorageError(f"{place}: {error.strerror or error}") from error


def refuse_full(path: Path, what: str) -> None:
    """Check before any work that `unfinished` will accept the folder. Raises FileIsThere."""
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise FileIsThere(f"{path} exists and is not an empty folder; name another folder")
    names = os.listdir(path)
    if not names:
        return
    found = _read_mark(path) if MARK in names else None
    if found is None or (found == "" and names != [MARK]):
        raise FileIsThere(f"{path} exists and is not an empty folder; name another folder")
    if found not in ("", what):
        raise FileIsThere(
            f"{path} was left unfinished by another command ({found}); name another folder, or remove "
            "this one"
        )


def _refuse_filled(path: Path, what: str, fd: int) -> None:
    """Refuse a folder that another process has filled in the meantime; it keeps no mark of ours."""
    try:
        refuse_full(path, what)
    except FileIsThere:
        if os.fstat(fd).st_size == 0:
            (path / MARK).unlink(missing_ok=True)
        raise


def _read_mark(path: Path) -> str | None:
    """The content that the mark names; empty if its process was killed before it wrote a name."""
    content = Folder(path).read(MARK, size_max=_NOTE_BYTES_MAX)
    if content is None:
        return None
    try:
        found = json.loads(content) if content else ""
    except ValueError:
        return ""
    return found if isinstance(found, str) else ""


def _lock(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FileIsThere(
            f"another process is writing to {path}; wait for its end, or name another folder"
        ) from error
    except OSError as error:
        # Without locks, two commands that write to one folder at once are not told apart.
        if error.errno not in NO_LOCKS:
            raise

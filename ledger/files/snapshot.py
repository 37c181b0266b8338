"""Copies a database and its write-ahead log into a private folder, without SQLite.

A ledger that is not one's own is read from such a copy if it has a write-ahead log, since SQLite would
otherwise create and change files beside the ledger.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orc.ledger.errors import FileIsThere, StorageError
from orc.ledger.files.descriptors import open_regular, write_all
from orc.ledger.wording import size_text

if TYPE_CHECKING:
    from orc.ledger.files.private_folder import PrivateFolder

_TRIES = 20
_PAUSE_S = 0.05
_WAL_HEADER_BYTES = 32
_CHUNK_BYTES = 1 << 20


def has_content(path: Path) -> bool:
    """Whether there is a file at the path that is not empty, or that is no regular file."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return status.st_size > 0 or not stat.S_ISREG(status.st_mode)


def refuse_old_log(target: Path) -> None:
    """Raise FileIsThere if a log or journal of a former database is beside a new one's name.

    SQLite would play it into the new database.
    """
    for suffix in ("-wal", "-journal"):
        path = Path(f"{target}{suffix}")
        if has_content(path):
            raise FileIsThere(
                f"{path} is left from another file of this name, and SQLite would play it into the new "
                f"one; name another file, or remove {path.name}"
            )


def stamp_of(database: Path) -> tuple[object, ...]:
    """A value that changes when the database or its log changes."""
    found: list[object] = []
    for path in (database, Path(f"{database}-wal")):
        with suppress(FileNotFoundError):
            status = os.stat(path)
            times = status.st_mtime_ns, status.st_ctime_ns
            found.append((path.name, status.st_dev, status.st_ino, status.st_size, *times))
    return tuple(found)


def is_hot(database: Path) -> bool:
    """Whether the database has a rollback journal that SQLite would play back.

    A transaction that is just being committed has one, too, for a moment.
    """
    for _ in range(_TRIES):
        if not _has_journal(Path(f"{database}-journal")):
            return False
        time.sleep(_PAUSE_S)
    return True


def copy_database(database: Path) -> PrivateFolder:
    """A private folder with a consistent copy of the database and its log, under the same names.

    `database` has no links. The caller removes the folder. Raises StorageError if the files change
    all the time, and OSError.
    """
    # Imported here, since every command imports this module and few take a copy.
    from orc.ledger.files.private_folder import COPY, PrivateFolder

    folder = PrivateFolder(COPY)
    try:
        _refuse_too_large(database, folder.path)
        for _ in range(_TRIES):
            before = _state(database)
            for name in (database, Path(f"{database}-wal")):
                _copy_file(name, folder.path / name.name)
            if _state(database) == before:
                return folder
            time.sleep(_PAUSE_S)
    except BaseException:
        folder.cleanup()
        raise
    folder.cleanup()
    raise StorageError(
        f"{database} belongs to another user and is being changed all the time; try again later, or "
        "let its owner take a copy (orc backup)"
    )


def _refuse_too_large(database: Path, folder: Path) -> None:
    size = sum(
        path.lstat().st_size for path in (database, Path(f"{database}-wal")) if path.exists()
    )
    free = os.statvfs(folder)
    if size > free.f_bavail * free.f_frsize:
        raise StorageError(
            f"{database} belongs to another user and is read from a private copy, which needs "
            f"{size_text(size)}; {folder.parent.parent} has less. Name another folder with TMPDIR"
        )


def _state(database: Path) -> tuple[object, ...]:
    """What a checkpoint changes: the database, and the header of the log. Commits only append."""
    status = os.lstat(database)
    fd = _open(Path(f"{database}-wal"))
    try:
        header = b"" if fd is None else os.pread(fd, _WAL_HEADER_BYTES, 0)
        log = None if fd is None else os.fstat(fd).st_ino
    finally:
        if fd is not None:
            os.close(fd)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, log, header


def _copy_file(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    read = _open(source)
    if read is None:
        return
    try:
        write = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # No more than the file had at first: a file that grows for ever is not followed.
            left = os.fstat(read).st_size
            while left > 0 and (chunk := os.read(read, min(left, _CHUNK_BYTES))):
                left -= len(chunk)
                write_all(write, chunk)
        finally:
            os.close(write)
    finally:
        os.close(read)


def _has_journal(path: Path) -> bool:
    fd = _open(path)
    if fd is None:
        return False
    try:
        # SQLite clears the first byte of a journal that is not to be played back.
        return os.read(fd, 1) not in (b"", b"\0")
    finally:
        os.close(fd)


def _open(path: Path) -> int | None:
    """A descriptor of a regular file; None if there is no file. Raises what `open_regular` raises."""
    try:
        return open_regular(path)
    except FileNotFoundError:
        return None

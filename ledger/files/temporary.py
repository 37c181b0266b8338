"""Temporary files and folders of processes: their names, their locks, and what killed ones left.

A process holds an `flock` on what it writes. The kernel releases it when the process dies, so a free
lock shows that nobody will finish the file; process ids may be used again and are not checked.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from orc.ledger.files.descriptors import NO_LOCKS, open_regular

TEMPORARY_NAME = re.compile(r"\.(?P<name>.+)\.[0-9]+(?:-[0-9]+)?\.orc-tmp")
"""The names of temporary files and folders; `name` is the name of the final file, shortened."""

LOCK_NAME = "lock"
"""The file in a temporary folder that its process keeps locked."""

_NAME_BYTES_MAX = 120
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TRIES_MAX = 100


class Leftover(NamedTuple):
    """A temporary file or folder; `is_dead` is whether the process that made it has ended."""

    path: Path
    is_dead: bool


def short_name(name: str) -> str:
    """The part of a file's name that the name of its temporary file contains."""
    return name.encode(errors="surrogateescape")[:_NAME_BYTES_MAX].decode(errors="ignore")


def temporary_name(name: str) -> str:
    """The name of this thread's temporary file or folder for the file `name`."""
    return f".{short_name(name)}.{os.getpid()}-{threading.get_ident()}.orc-tmp"


def hold(fd: int) -> bool:
    """Lock an open temporary file until it is closed; whether it still has a name.

    Between its creation and the lock, another process may have taken it for a leftover.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        # Without locks, temporary files of others are never removed; see `is_abandoned`.
    return os.fstat(fd).st_nlink > 0


def is_abandoned(path: Path) -> bool:
    """Whether the file is ours and nobody writes it any more. False if that cannot be known."""
    try:
        fd = open_regular(path)
    except OSError:
        return False
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def find_leftovers(folder: Path, names: Collection[str] | None = None) -> Iterator[Leftover]:
    """The temporary files and folders in a folder; with `names`, only those of these files."""
    wanted = None if names is None else {short_name(name) for name in names}
    try:
        found = sorted(os.listdir(folder))
    except OSError:
        return
    for name in found:
        match = TEMPORARY_NAME.fullmatch(name)
        if match is None or (wanted is not None and match["name"] not in wanted):
            continue
        path = folder / name
        yield Leftover(path, _is_dead(path))


def sweep(folder: Path, names: Collection[str] | None = None) -> None:
    """Remove what killed processes left in a folder; with `names`, only for these files."""
    for found in find_leftovers(folder, names):
        if found.is_dead:
            discard(found.path)


def discard(path: Path) -> None:
    """Remove a temporary file or folder, if it can be removed. Its lock is removed last."""
    with suppress(OSError):
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink()
            return
        fd = os.open(path, _FOLDER)
        try:
            _empty(fd)
        finally:
            os.close(fd)
        path.rmdir()


@contextmanager
def workplace(target: Path, what: str = "") -> Iterator[Path]:
    """A private folder beside `target`, for the files that it is made of; removed at the end.

    Its lock names `what` is made.
    Raises OSError.
    """
    folder, fd = make_locked(target)
    try:
        os.pwrite(fd, what.encode(errors="surrogateescape"), 0)
        yield folder
    finally:
        discard(folder)
        os.close(fd)


def make_locked(target: Path) -> tuple[Path, int]:
    """Create a private folder beside `target`; its path, and the descriptor of its lock.

    Raises OSError.
    """
    for _ in range(_TRIES_MAX):
        number = int.from_bytes(os.urandom(6))
        folder = target.with_name(f".{short_name(target.name)}.{os.getpid()}-{number}.orc-tmp")
        folder.mkdir(mode=0o700)
        # The lock is on a file of its own: on a network filesystem, an flock on a file that SQLite
        # writes would conflict with SQLite's own locks.
        with suppress(FileNotFoundError):
            fd = os.open(folder / LOCK_NAME, _NEW, 0o600)
            if hold(fd):
                return folder, fd
            os.close(fd)
        # Another process has just taken the new folder for a leftover.
    raise OSError(errno.EBUSY, f"{target.parent}: other processes remove new files there")


def _empty(folder: int) -> None:
    """Remove what is in the open folder, if it is one of ours: it then has a lock."""
    names = os.listdir(folder)
    if LOCK_NAME not in names or os.fstat(folder).st_uid != os.geteuid():
        return
    for name in names:
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            # Imported here, since it loads compression, and few folders are in one.
            import shutil

            shutil.rmtree(name, dir_fd=folder)
        elif name != LOCK_NAME:
            os.unlink(name, dir_fd=folder)
    os.unlink(LOCK_NAME, dir_fd=folder)


def _is_dead(path: Path) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    if not stat.S_ISDIR(found.st_mode):
        return is_abandoned(path)
    if found.st_uid != os.geteuid():
        return False
    lock = path / LOCK_NAME
    # Without a lock, the process was killed before it made one, or is about to make it: `discard`
    # removes only an empty folder then, and `make_locked` begins again.
    return is_abandoned(lock) or not os.path.lexists(lock)

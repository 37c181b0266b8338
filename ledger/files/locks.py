"""Locks between processes: `flock` on small files beside the ledger.

The kernel releases an `flock` when its process dies, so locks are never stale and process
ids need not be checked. Lock files are never deleted: then two processes could hold "the
same" lock on two inodes. They are beside the real file of the ledger, whatever name was given.

`flock` cannot be queried, and a probe that takes it for a moment disturbs a process that wants it. An
owner therefore also holds a byte-range lock on its lock file, which `F_OFD_GETLK` queries. The
`flock` decides; where the byte lock is not available (its note says so), a probe takes a shared one.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from orc.ledger.errors import LedgerBusy, OwnedElsewhere, StorageError
from orc.ledger.files.byte_lock import is_byte_locked, release_byte_lock, take_byte_lock
from orc.ledger.files.descriptors import NO_LOCKS, open_regular
from orc.ledger.files.lock_notes import (
    HAS_BYTE_LOCK,
    holder_in,
    is_alive,
    is_holder_gone,
    note_in,
    own_note,
    read_note,
)
from orc.ledger.files.lock_paths import locks_dir
from orc.ledger.wording import duration_text

WRITE_WAIT_S = 30.0
OWNER_WAIT_S = 1.0
WRITER = "writer"
INDEXER = "search"
NOT_OF_JOBS = (WRITER, INDEXER)
"""The lock files that do not have the name of a job."""

_UNSURE_WAIT_S = 0.25
"""How long a lock must be taken until its holder cannot be a mere probe."""

_FORK_WAIT_S = 0.25
"""How long a process that a dead owner had just forked may keep the owner's lock: until its `exec`."""


class FileLock:
    """An advisory lock on one file, between processes and between threads.

    The file is opened close-on-exec, so that commands of a job do not inherit the lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock if it is free; returns whether this object holds it now."""
        if self._fd is not None:
            return True
        fd = _open_lock_file(self.path)
        try:
            _flock(fd, self.path)
            if not _same_file(fd, self.path):
                # The file was deleted and created again between open and flock.
                os.close(fd)
                return False
        except BlockingIOError:
            os.close(fd)
            return False
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return True

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._fd is not None

    @property
    def descriptor(self) -> int:
        """The open file that holds the lock. A process that inherits it holds the lock, too."""
        assert self._fd is not None
        return self._fd

    def acquire(self, *, wait_s: float) -> bool:
        """Try to take the lock for `wait_s` seconds; returns whether this object holds it."""
        deadline = time.monotonic() + wait_s
        pause_s = 0.0002
        while not self.try_acquire():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            # Poll, because a blocking flock has no timeout.
            time.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, 0.005)
        return True

    def release(self) -> None:
        """Release the lock; does nothing if it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def write_note(self, note: dict[str, object]) -> None:
        """Write a line of JSON into the locked file. Messages about the lock's holder use it."""
        assert self._fd is not None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, (json.dumps(note) + "\n").encode(), 0)

    def lock_byte(self) -> bool:
        """Take the byte lock of the locked file, which others can query; whether it is available."""
        assert self._fd is not None
        return take_byte_lock(self._fd)

    def unlock_byte(self) -> None:
        """Release the byte lock."""
        assert self._fd is not None
        release_byte_lock(self._fd)


class WriteLock:
    """The lock around each transaction, checkpoint and close of a ledger.

    It exists in addition to SQLite's own locks for two reasons: SQLite 3.7.0 to 3.51.2 can
    lose a commit that runs during another connection's checkpoint (the WAL-reset bug), and
    waiting for this lock does not end with "database is locked".
    """

    def __init__(self, database: Path) -> None:
        self.path = locks_dir(database) / WRITER
        _make_dir(self.path.parent)
        self._fd = _open_lock_file(self.path)

    def __enter__(self) -> None:
        try:
            _flock(self._fd, self.path)
        except BlockingIOError:
            self._wait()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the lock file."""
        os.close(self._fd)

    def _wait(self) -> None:
        deadline = time.monotonic() + WRITE_WAIT_S
        pause_s = 0.0001
        while True:
            time.sleep(pause_s)
            try:
                _flock(self._fd, self.path)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LedgerBusy(
                        f"another process has held the write lock {self.path} for "
                        f"{duration_text(WRITE_WAIT_S)}; end that process, then resume the job"
                    ) from None
                pause_s = min(pause_s * 1.5, 0.002)


class OwnerLock:
    """The lock of one job: the process that holds it is the job's owner and may run it."""

    def __init__(self, database: Path, job_id: str) -> None:
        self.job_id = job_id
        self._lock = FileLock(locks_dir(database) / job_id)
        self._has_byte_lock = False

    def acquire(self, *, wait_s: float = OWNER_WAIT_S) -> None:
        """Become the owner.

        Raises OwnedElsewhere, with the owner's process id and host, if another process still
        owns the job after `wait_s` seconds, and StorageError.
        """
        path = self._lock.path
        if not self._lock.acquire(wait_s=wait_s):
            # A probe of an earlier version, or on a filesystem without byte locks, takes the lock
            # for a moment.
            is_sure = _query(path) is True
            if is_sure or not self._lock.acquire(wait_s=_UNSURE_WAIT_S):
                raise OwnedElsewhere(self.job_id, _describe(path))
        try:
            # The note comes before the byte lock: a process that finds the byte locked reads its
            # holder's note.
            self._lock.write_note(own_note(has_byte_lock=True))
            self._has_byte_lock = self._lock.lock_byte()
            if not self._has_byte_lock:
                self._lock.write_note(own_note(has_byte_lock=False))
        except BaseException:
            self._lock.release()
            raise

    def release(self) -> None:
        """Stop being the owner, and remove one's name from the lock file."""
        if self._lock.is_held:
            self._lock.unlock_byte()
            with suppress(OSError):
                self._lock.write_note({HAS_BYTE_LOCK: self._has_byte_lock})
        self._lock.release()


def has_owner(database: Path, job_id: str) -> bool:
    """Whether a live process owns the job. Does not disturb other processes.

    It waits only if the lock is held but the process that took it is gone: then for a moment, as a
    command that this process was about to start keeps the lock until it has started.
    """
    path = locks_dir(database) / job_id
    if not _is_held(path):
        return False
    if not is_holder_gone(read_note(path)):
        return True
    deadline = time.monotonic() + _FORK_WAIT_S
    while time.monotonic() < deadline:
        time.sleep(0.001)
        if not _is_held(path):
            return False
    return True


def refuse_owner(database: Path, job_id: str) -> None:
    """Raise OwnedElsewhere, with the owner's process id and host, if a live process owns the job."""
    if has_owner(database, job_id):
        raise OwnedElsewhere(job_id, _describe(locks_dir(database) / job_id))


def _is_held(path: Path) -> bool:
    found = _query(path)
    return _is_flocked(path) if found is None else found


def _describe(path: Path) -> str:
    """The process that holds the lock, as far as that is certain."""
    holder = holder_in(read_note(path))
    if holder is None:
        return "another process"
    pid, host = holder
    if _query(path) or host != os.uname().nodename or is_alive(pid):
        return f"process {pid} on {host}"
    return "another process"


def _query(path: Path) -> bool | None:
    """Whether a process holds the byte lock of a lock file; None if its owner may have none."""
    try:
        fd = open_regular(path)
    except OSError:
        return False
    try:
        if note_in(fd).get(HAS_BYTE_LOCK) is not True:
            return None
        return is_byte_locked(fd)
    finally:
        os.close(fd)


def _is_flocked(path: Path) -> bool:
    try:
        fd = open_regular(path)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno in NO_LOCKS:
            return False
        raise
    finally:
        os.close(fd)
    return False


def _flock(fd: int, path: Path) -> None:
    """Take the lock. Raises BlockingIOError if it is taken, StorageError if there are no locks here."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise StorageError(
            f"cannot lock {path}: {error.strerror}. The filesystem has no file locks (flock); put the "
            "ledger on a local disk and name it with --db or ORC_DB"
        ) from error


def _open_lock_file(path: Path) -> int:
    _make_dir(path.parent)
    try:
        fd = os.open(path, _LOCK_FILE, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StorageError(_not_a_file(path, "is a link")) from error
        raise StorageError(f"cannot open the lock file {path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise StorageError(_not_a_file(path, "is not a regular file"))
    return fd


_LOCK_FILE = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def _not_a_file(path: Path, what: str) -> str:
    return f"cannot use the lock file {path}: it {what}; remove it, then try again"


def _make_dir(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError as error:
        what = "is a link" if path.is_symlink() else "is not a folder"
        raise StorageError(
            f"cannot use the folder of lock files {path}: it {what}; remove it, then try again"
        ) from error
    except OSError as error:
        raise StorageError(
            f"cannot create the folder of lock files {path}: {error.strerror}; allow writing there, "
            "or name another ledger with --db or ORC_DB"
        ) from error


def _same_file(fd: int, path: Path) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    here = os.fstat(fd)
    return (here.st_ino, here.st_dev) == (there.st_ino, there.st_dev)

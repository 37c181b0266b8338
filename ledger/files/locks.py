"""Locks between processes: `flock` on small files beside the ledger.

The kernel releases an `flock` when its process dies, so locks are never stale and process
ids need not be checked. Lock files are never deleted: then two processes could hold "the
same" lock on two inodes.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from types import TracebackType

from orc.ledger.errors import LedgerBusy, OwnedElsewhere, StorageError
from orc.ledger.wording import duration_text

WRITE_WAIT_S = 30.0
OWNER_WAIT_S = 1.0


def locks_dir(database: Path) -> Path:
    """The folder of a ledger's lock files, `<db>.locks`."""
    return database.with_name(database.name + ".locks")


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
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
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


class WriteLock:
    """The lock around each transaction, checkpoint and close of a ledger.

    It exists in addition to SQLite's own locks for two reasons: SQLite 3.7.0 to 3.51.2 can
    lose a commit that runs during another connection's checkpoint (the WAL-reset bug), and
    waiting for this lock does not end with "database is locked".
    """

    def __init__(self, database: Path) -> None:
        self.path = locks_dir(database) / "writer"
        _make_dir(self.path.parent)
        self._fd = _open_lock_file(self.path)

    def __enter__(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
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

    def acquire(self, *, wait_s: float = OWNER_WAIT_S) -> None:
        """Become the owner.

        Raises OwnedElsewhere, with the owner's process id and host, if another process still
        owns the job after `wait_s` seconds.
        """
        if not self._lock.acquire(wait_s=wait_s):
            raise OwnedElsewhere(self.job_id, _describe(self._lock.path))
        self._lock.write_note(owner_identity())

    def release(self) -> None:
        """Stop being the owner."""
        self._lock.release()


def has_owner(database: Path, job_id: str) -> bool:
    """Whether a live process owns the job. Tries a shared lock and does not wait."""
    try:
        fd = os.open(locks_dir(database) / job_id, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def owner_identity() -> dict[str, object]:
    """This process as lock files and events record it: `{"pid": ..., "host": ...}`."""
    return {"pid": os.getpid(), "host": os.uname().nodename}


def _describe(path: Path) -> str:
    try:
        note = json.loads(path.read_text())
        return f"process {int(note['pid'])} on {str(note['host'])[:64]}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _open_lock_file(path: Path) -> int:
    _make_dir(path.parent)
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StorageError(f"cannot open the lock file {path}: {error.strerror}") from error


def _make_dir(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot create {path}: {error.strerror}") from error


def _same_file(fd: int, path: Path) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    here = os.fstat(fd)
    return (here.st_ino, here.st_dev) == (there.st_ino, there.st_dev)

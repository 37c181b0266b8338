"""What a process in the background that runs a job printed: a file in the folder of lock files.

The process inherits a lock on the file from the one that starts it, and so holds it from its first
moment to its last: there is no time at which a second one could be started.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from orc.ledger.errors import StorageError
from orc.ledger.files.descriptors import NO_LOCKS, open_regular, write_all
from orc.ledger.files.lock_paths import RUNNER_SUFFIX, locks_dir, runner_log_path
from orc.ledger.files.locks import FileLock

BACKGROUND = "ORC_BACKGROUND"
"""The variable that says to a process that it has such a log."""

SHOWN_BYTES = 20_000
"""How much of the end of a log is read."""

_WITHDRAWN = "withdrawn"
_HEAD_BYTES = 32_768
_PROBE_WAIT_S = 0.25
"""A reader that looks whether the lock is free holds it for a moment."""


class RunnerSeen(NamedTuple):
    """The last process that was started for a job, and what it printed.

    `started_at` is UTC text, `command` its words. `version` is that of the job's last event then.
    `printed` is the end of its output; `stamp` changes with each line of it. A process whose start
    `is_withdrawn` ends without running the job.
    """

    started_at: str
    command: tuple[str, ...]
    version: int
    is_running: bool
    printed: str
    is_cut: bool
    stamp: str
    is_withdrawn: bool = False

    @property
    def may_start(self) -> bool:
        """Whether the process lives and may run the job, if it does not do so already."""
        return self.is_running and not self.is_withdrawn


class RunnerLog:
    """The log of a process that is to be started. `lock` and `output` are what it inherits."""

    def __init__(self, lock: FileLock, output: int) -> None:
        self._lock = lock
        self.output = output

    @property
    def lock(self) -> int:
        """The descriptor with the lock: the process must keep it open."""
        return self._lock.descriptor

    def write(self, text: str) -> None:
        """Add a line to the log. Raises OSError."""
        write_all(self.output, f"{text}\n".encode())

    def close(self) -> None:
        """Close both here. The lock stays with the process that inherited it."""
        os.close(self.output)
        self._lock.release()


def new_runner_log(
    database: Path, job_id: str, *, command: Sequence[str], version: int, started_at: str
) -> RunnerLog | None:
    """An empty log for a new process; None if another process holds the log's lock.

    Raises StorageError.
    """
    path = runner_log_path(database, job_id)
    lock = FileLock(path)
    if not lock.acquire(wait_s=_PROBE_WAIT_S):
        return None
    note = {"started_at": started_at, "command": list(command), "version": version, _WITHDRAWN: 0}
    try:
        os.ftruncate(lock.descriptor, 0)
        output = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        log = RunnerLog(lock, output)
        log.write(_first_line(note))
    except OSError as error:
        lock.release()
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    return log


def clear_runner_log(database: Path, job_id: str) -> None:
    """Remove what a process printed, unless it runs. Raises StorageError, OSError."""
    if not runner_log_path(database, job_id).exists():
        return
    lock = FileLock(runner_log_path(database, job_id))
    if lock.acquire(wait_s=_PROBE_WAIT_S):
        try:
            os.ftruncate(lock.descriptor, 0)
        finally:
            lock.release()


def withdraw_start(database: Path, job_id: str) -> bool:
    """Keep the process that is starting for a job from running it; whether there is one.

    Only the owner of the job calls this: the process asks, once it owns the job, whether its start is
    withdrawn. Raises StorageError.
    """
    seen = read_runner(database, job_id)
    if seen is None or not seen.may_start:
        return False
    path = runner_log_path(database, job_id)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            head = os.pread(descriptor, _HEAD_BYTES, 0).partition(b"\n")[0]
            line = _first_line({**json.loads(head), _WITHDRAWN: 1}).encode()
            # In its place: what the process prints follows.
            if len(line) == len(head):
                os.pwrite(descriptor, line, 0)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    return len(line) == len(head)


def running_in_background(database: Path) -> Iterator[str]:
    """The ids of the jobs for which a process in the background lives."""
    try:
        names = [name for name in os.listdir(locks_dir(database)) if name.endswith(RUNNER_SUFFIX)]
    except OSError:
        return
    for name in sorted(names):
        job_id = name.removesuffix(RUNNER_SUFFIX)
        seen = read_runner(database, job_id)
        if seen is not None and seen.is_running:
            yield job_id


def read_runner(database: Path, job_id: str) -> RunnerSeen | None:
    """The last process in the background of a job; None if there was none, or its log is damaged."""
    try:
        descriptor = open_regular(runner_log_path(database, job_id))
    except OSError:
        return None
    try:
        size = os.fstat(descriptor).st_size
        head = os.pread(descriptor, _HEAD_BYTES, 0).partition(b"\n")[0]
        begin = max(len(head) + 1, size - SHOWN_BYTES)
        printed = os.pread(descriptor, SHOWN_BYTES, begin)
        note = json.loads(head)
        seen = RunnerSeen(
            started_at=str(note["started_at"]),
            command=tuple(map(str, note["command"])),
            version=int(note["version"]),
            is_running=_is_locked(descriptor),
            printed=printed.decode("utf-8", "replace"),
            is_cut=begin > len(head) + 1,
            stamp=f"{note['started_at']} {size}",
            is_withdrawn=bool(note.get(_WITHDRAWN)),
        )
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    finally:
        os.close(descriptor)
    return seen


def _first_line(note: Mapping[str, Any]) -> str:
    return json.dumps(note)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return False

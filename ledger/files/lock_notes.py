"""Notes in lock files: which process holds the lock, for messages and for questions about it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from orc.ledger.files.descriptors import open_regular

HAS_BYTE_LOCK = "has_byte_lock"
"""The key that says whether the holder also has the byte lock of the file."""
_NAMESPACE = "pid_namespace"
_NOTE_BYTES_MAX = 4096


def owner_identity() -> dict[str, object]:
    """This process as lock files and events record it: `{"pid": ..., "host": ...}`."""
    return {"pid": os.getpid(), "host": os.uname().nodename}


def own_note(*, has_byte_lock: bool) -> dict[str, object]:
    """The note of this process, for a lock that it holds."""
    return {**owner_identity(), _NAMESPACE: _pid_namespace(), HAS_BYTE_LOCK: has_byte_lock}


def is_holder_gone(note: Mapping[str, object]) -> bool:
    """Whether the process that took the lock was one of this host, and has ended.

    Process ids of another namespace, such as those of containers, say nothing here.
    """
    holder = holder_in(note)
    if holder is None or holder[1] != os.uname().nodename:
        return False
    return note.get(_NAMESPACE, "unknown") == _pid_namespace() and not is_alive(holder[0])


def holder_in(note: Mapping[str, object]) -> tuple[int, str] | None:
    """The process id and the host in the note of a lock file."""
    try:
        return int(str(note["pid"])), str(note["host"])[:64]
    except (ValueError, KeyError):
        return None


def is_alive(pid: int) -> bool:
    """Whether a process of this namespace has this id, and has not ended."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return pid > 0 and not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether the process has ended and its parent has not asked for its status yet."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return False
    return fields[:1] == [b"Z"]


def read_note(path: Path) -> dict[str, object]:
    """The note in a lock file; empty if there is none."""
    try:
        fd = open_regular(path)
    except OSError:
        return {}
    try:
        return note_in(fd)
    finally:
        os.close(fd)


def note_in(fd: int) -> dict[str, object]:
    """The note in an open lock file; empty if there is none."""
    try:
        note = json.loads(os.read(fd, _NOTE_BYTES_MAX))
    except (OSError, ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}


def _pid_namespace() -> int | None:
    """The number of this process's namespace of process ids; None if the system has none."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return None

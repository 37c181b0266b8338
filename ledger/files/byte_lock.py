"""A lock on the first byte of a file that other processes can query without taking it.

It is an open-file-description lock: like an `flock`, it ends with the descriptor, and other
descriptors of the file do not matter. Not every system and filesystem has it; on some network
filesystems it conflicts with an `flock` of the same process.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys

# The structure `flock` of fcntl(2) on Linux: type, whence, start, length, process id.
_FORMAT = "hhqqi0q"


def take_byte_lock(fd: int) -> bool:
    """Take the lock; returns False if that is not possible here."""
    return _set(fd, fcntl.F_WRLCK)


def release_byte_lock(fd: int) -> None:
    """Release the lock, if it is held."""
    _set(fd, fcntl.F_UNLCK)


def is_byte_locked(fd: int) -> bool | None:
    """Whether another descriptor holds the lock; None if that cannot be queried here."""
    command = _command("F_OFD_GETLK")
    if command is None:
        return None
    try:
        found = struct.unpack(_FORMAT, fcntl.fcntl(fd, command, _lock(fcntl.F_WRLCK)))
    except OSError:
        return None
    return bool(found[0] != fcntl.F_UNLCK)


def _set(fd: int, kind: int) -> bool:
    command = _command("F_OFD_SETLK")
    if command is None:
        return False
    try:
        fcntl.fcntl(fd, command, _lock(kind))
    except OSError:
        return False
    return True


def _command(name: str) -> int | None:
    # Another system may have the command, but another structure.
    return getattr(fcntl, name, None) if sys.platform == "linux" else None


def _lock(kind: int) -> bytes:
    return struct.pack(_FORMAT, kind, os.SEEK_SET, 0, 1, 0)

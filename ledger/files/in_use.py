"""Checks that the files of an open ledger were not deleted or replaced."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from orc.ledger.command_lines import quoted_command
from orc.ledger.errors import StorageError

_written: Counter[tuple[int, int]] = Counter()


def is_written_here(identity: tuple[int, int]) -> bool:
    """Whether this process has the file with that device and inode open for writing."""
    return _written[identity] > 0


class FilesInUse:
    """The devices and inodes of a ledger file and its write-ahead log while a connection is open.

    SQLite removes neither file while a connection is open. If another program replaces one,
    commits would go to a file that has no name any more.
    """

    def __init__(self, path: Path, *, has_wal: bool) -> None:
        # Texts, since these paths are looked at before each commit.
        self._path = str(path)
        self._wal = f"{path}-wal" if has_wal else None
        found = os.stat(path)
        self._identity = (found.st_dev, found.st_ino)
        self._wal_identity: tuple[int, int] | None = None
        _written[self._identity] += 1

    def close(self) -> None:
        """The connection is closed."""
        _written[self._identity] -= 1

    def check(self) -> None:
        """Raise StorageError if one of the files was deleted or replaced."""
        if _identity(self._path) != self._identity:
            raise StorageError(
                f"{self._path} was deleted or replaced while it was in use; orc has stopped "
                "writing to it. Put the file back, then resume the job"
            )
        if self._wal is None:
            return
        found = _identity(self._wal)
        if self._wal_identity is None:
            self._wal_identity = found
        elif found != self._wal_identity:
            raise StorageError(
                f"{self._wal} was deleted or replaced while it was in use; orc has stopped "
                f"writing. Run "
                f"{quoted_command('verify')} to see whether events were lost, then resume the job"
            )


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino

"""Checks that the files of an open ledger were not deleted or replaced."""

from __future__ import annotations

import os
from pathlib import Path

from orc.ledger.errors import StorageError


class FilesInUse:
    """The inodes of a ledger file and its write-ahead log while a connection is open.

    SQLite removes neither file while a connection is open. If another program replaces one,
    commits would go to a file that has no name any more.
    """

    def __init__(self, path: Path, *, has_wal: bool) -> None:
        self._path = path
        self._wal = path.with_name(path.name + "-wal") if has_wal else None
        self._inode = os.stat(path).st_ino
        self._wal_inode: int | None = None

    def check(self) -> None:
        """Raise StorageError if one of the files was deleted or replaced."""
        if _inode(self._path) != self._inode:
            raise StorageError(
                f"{self._path} was deleted or replaced while it was in use; orc has stopped "
                "writing to it. Put the file back, then resume the job"
            )
        if self._wal is None:
            return
        inode = _inode(self._wal)
        if self._wal_inode is None:
            self._wal_inode = inode
        elif inode != self._wal_inode:
            raise StorageError(
                f"{self._wal} was deleted or replaced while it was in use; orc has stopped "
                "writing. Run `orc verify` to see whether events were lost, then resume the job"
            )


def _inode(path: Path) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None

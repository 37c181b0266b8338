"""Whether the files of an open ledger are still the ones that were opened."""

from __future__ import annotations

import os
from pathlib import Path

from orc.ledger.errors import StorageError


class FilesInUse:
    """The inodes of a ledger and of its log, for as long as a connection is open.

    While it is, SQLite itself removes neither; whoever does would have commits go
    where nobody finds them again.
    """

    def __init__(self, path: Path, *, has_wal: bool) -> None:
        self._path = path
        self._wal = path.with_name(path.name + "-wal") if has_wal else None
        self._inode = os.stat(path).st_ino
        self._wal_inode: int | None = None

    def check(self) -> None:
        """Raise StorageError when one of them was deleted or replaced."""
        if _inode(self._path) != self._inode:
            raise StorageError(
                f"{self._path} was deleted or replaced while it was in use; nothing more is "
                "written. Put it back, then resume the job"
            )
        if self._wal is None:
            return
        inode = _inode(self._wal)
        if self._wal_inode is None:
            self._wal_inode = inode
        elif inode != self._wal_inode:
            raise StorageError(
                f"{self._wal} was deleted or replaced while it was in use; nothing more is "
                "written. Ask `orc verify` whether events were lost, then resume the job"
            )


def _inode(path: Path) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None

"""What a row of the table `blobs` says about its bytes, and blobs as open files.

A row holds the bytes themselves, or it stands for a file of the store beside the ledger
(`files/file_store.py`), or its bytes were removed: its content is then the position of the
`blob.removed` event.
"""

from __future__ import annotations

import io
import sqlite3
from pathlib import Path
from typing import Any, BinaryIO

from orc.ledger.connection import storage_errors

STANDS_FOR_FILE = "(typeof(content) = 'blob' AND length(content) = 0 AND size_bytes > 0)"
"""`stands_for_file` as a condition of SQL, which does not read the content."""


def stands_for_file(content: Any, size_bytes: Any) -> bool:
    """Whether the bytes of the row are in the store: it has a size, and an empty BLOB as content."""
    return content == b"" and isinstance(size_bytes, int) and size_bytes > 0


def open_content(connection: sqlite3.Connection, path: Path, digest: str) -> BinaryIO:
    """The bytes in the row of the blob as an open file, which reads them in parts."""
    with storage_errors(path):
        rowid = connection.execute(
            "SELECT rowid FROM blobs WHERE sha256 = ?", (digest,)
        ).fetchone()[0]
        blob = connection.blobopen("blobs", "content", rowid, readonly=True)
    return io.BufferedReader(_Content(blob, path))


class _Content(io.RawIOBase):
    """SQLite's handle of a value as a file of Python."""

    def __init__(self, blob: sqlite3.Blob, path: Path) -> None:
        self._blob = blob
        self._path = path

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with storage_errors(self._path):
            part = self._blob.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._blob.seek(offset, whence)
        return self._blob.tell()

    def tell(self) -> int:
        return self._blob.tell()

    def close(self) -> None:
        self._blob.close()
        super().close()

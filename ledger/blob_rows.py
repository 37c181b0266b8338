"""What a row of the table `blobs` says about its bytes, and blobs as open files.

A row holds the bytes themselves, or it stands for a file of the store beside the ledger
(`files/file_store.py`), or its bytes were removed: its content is then the position of the
`blob.removed` event.

A bundle is a single file: it has its large files in a table of its own, in parts.
"""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from orc.ledger.connection import storage_errors
from orc.ledger.errors import CorruptLedger
from orc.ledger.files.file_store import FileStore

PARTS_TABLE = (
    "CREATE TABLE file_parts (sha256 TEXT NOT NULL, part INTEGER NOT NULL, content BLOB NOT NULL, "
    "PRIMARY KEY (sha256, part)) STRICT"
)
"""The table of a bundle with the bytes of its large files."""
PART_BYTES = 16 * 1024 * 1024
"""The size of each part of a file except the last one."""

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


class BundledFiles(FileStore):
    """The large files of a bundle: those in its table, and those that were added beside it since."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        super().__init__(path)
        self._bundle = path
        self._connection = connection

    def open(self, digest: str) -> BinaryIO:
        """See `FileStore.open`."""
        if not self._has_parts(digest):
            return super().open(digest)
        return io.BufferedReader(_Parts(self._connection, self._bundle, digest))

    def size(self, digest: str) -> int | None:
        """See `FileStore.size`."""
        with storage_errors(self._bundle):
            (size_bytes,) = self._connection.execute(
                "SELECT sum(length(content)) FROM file_parts WHERE sha256 = ?", (digest,)
            ).fetchone()
        return super().size(digest) if size_bytes is None else int(size_bytes)

    def remove(self, digest: str) -> bool:
        """See `FileStore.remove`."""
        with storage_errors(self._bundle):
            found = self._connection.execute("DELETE FROM file_parts WHERE sha256 = ?", (digest,))
        return bool(super().remove(digest) or found.rowcount)

    def digests(self) -> Iterator[str]:
        """See `FileStore.digests`."""
        with storage_errors(self._bundle):
            rows = self._connection.execute("SELECT DISTINCT sha256 FROM file_parts").fetchall()
        yield from (str(digest) for (digest,) in rows)
        yield from super().digests()

    def _changed(self, digest: str) -> str:
        if not self._has_parts(digest):
            return super()._changed(digest)
        return f"{self._bundle}: the file {digest[:12]}... was changed; ask for a new bundle"

    def _has_parts(self, digest: str) -> bool:
        with storage_errors(self._bundle):
            row = self._connection.execute(
                "SELECT 1 FROM file_parts WHERE sha256 = ? LIMIT 1", (digest,)
            ).fetchone()
        return row is not None


def files_of(path: Path, connection: sqlite3.Connection) -> FileStore:
    """The large files of the ledger or bundle at `path`."""
    with storage_errors(path):
        return BundledFiles(path, connection) if has_parts_table(connection) else FileStore(path)


def has_parts_table(connection: sqlite3.Connection) -> bool:
    """Whether the database has the table of a bundle's large files, exactly as orc creates it."""
    row = connection.execute(
        "SELECT type, sql FROM sqlite_schema WHERE name = 'file_parts'"
    ).fetchone()
    return row is not None and tuple(row) == ("table", PARTS_TABLE)


def put_parts(connection: sqlite3.Connection, digest: str, chunks: Iterable[bytes]) -> None:
    """Write a file to the table of a bundle, in the caller's transaction."""
    number, part = 0, bytearray()
    for chunk in chunks:
        part += chunk
        while len(part) >= PART_BYTES:
            _put_part(connection, digest, number, bytes(part[:PART_BYTES]))
            del part[:PART_BYTES]
            number += 1
    if part:
        _put_part(connection, digest, number, bytes(part))


def _put_part(connection: sqlite3.Connection, digest: str, number: int, content: bytes) -> None:
    connection.execute("INSERT INTO file_parts VALUES (?, ?, ?)", (digest, number, content))


class _Parts(io.RawIOBase):
    """The parts of a file in a bundle as one file. At most one part is in memory."""

    def __init__(self, connection: sqlite3.Connection, path: Path, digest: str) -> None:
        self._connection = connection
        self._path = path
        self._digest = digest
        self._at = 0
        self._part: tuple[int, bytes] = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        number, inside = divmod(self._at, PART_BYTES)
        if self._part[0] != number:
            self._part = (number, self._read(number))
        found = self._part[1][inside : inside + len(buffer)]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = self._size() if whence == io.SEEK_END else self._at if whence else 0
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def _size(self) -> int:
        with storage_errors(self._path):
            row = self._connection.execute(
                "SELECT sum(length(content)) FROM file_parts WHERE sha256 = ?", (self._digest,)
            ).fetchone()
        return int(row[0] or 0)

    def _read(self, number: int) -> bytes:
        place = (self._digest, number)
        with storage_errors(self._path):
            # The bundle may lie: the size of a part is checked before the part is read.
            row = self._connection.execute(
                "SELECT rowid, length(content) FROM file_parts WHERE sha256 = ? AND part = ?", place
            ).fetchone()
            if row is None:
                return b""
            if row[1] > PART_BYTES:
                raise CorruptLedger(
                    f"{self._path}: a part of the file {self._digest[:12]}... is larger than orc writes"
                )
            (content,) = self._connection.execute(
                "SELECT content FROM file_parts WHERE rowid = ?", (row[0],)
            ).fetchone()
        return bytes(content)

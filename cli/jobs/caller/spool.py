"""Keeps what was read from files until the job is submitted: in memory, or in a temporary file.

Each content is read once and kept as it was, so that a file that changes meanwhile cannot make the
job differ from what was checked. The temporary file has no name: it is gone when the process ends.
"""

from __future__ import annotations

import io
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, BinaryIO

from orc.ledger.digest import Digest

MEMORY_BYTES_MAX = 32 * 1024 * 1024
PIECE_BYTES = 1024 * 1024


class Spool:
    """Contents by their digests. Those of more than 32 MiB together are on the disk."""

    def __init__(self) -> None:
        self._file: BinaryIO = io.BytesIO()
        self._is_on_disk = False
        self._places: dict[Digest, tuple[int, int]] = {}
        self._end = 0

    def add(self, pieces: Iterable[bytes]) -> tuple[Digest, int]:
        """Keep a content; its digest and its size. Raises OSError, and what `pieces` raises."""
        start, at = self._end, self._end
        hashed = sha256()
        for piece in pieces:
            if not self._is_on_disk and at + len(piece) > MEMORY_BYTES_MAX:
                self._move_to_disk()
            # The pieces may be read from this spool.
            self._file.seek(at)
            self._file.write(piece)
            hashed.update(piece)
            at += len(piece)
        digest = Digest(hashed.hexdigest())
        if digest not in self._places:
            self._places[digest] = (start, at - start)
            self._end = at
        return digest, at - start

    def open(self, digest: Digest) -> BinaryIO:
        """A content as an open file."""
        return io.BufferedReader(_Section(self, *self._places[digest]))

    def pieces(self, digest: Digest) -> Iterator[bytes]:
        """A content in parts."""
        with self.open(digest) as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    def read(self, digest: Digest) -> bytes:
        """A content."""
        return b"".join(self.pieces(digest))

    def size(self, digest: Digest) -> int:
        """The size of a content in bytes."""
        return self._places[digest][1]

    def read_at(self, place: int, count: int) -> bytes:
        """Some bytes of what was added, from that place."""
        self._file.seek(place)
        return self._file.read(count)

    def _move_to_disk(self) -> None:
        file = tempfile.TemporaryFile()  # noqa: SIM115
        weakref.finalize(self, file.close)
        self._file.seek(0)
        while piece := self._file.read(PIECE_BYTES):
            file.write(piece)
        self._file.close()
        self._file, self._is_on_disk = file, True

    def __contains__(self, digest: object) -> bool:
        return digest in self._places


class _Section(io.RawIOBase):
    """A part of the spool's file."""

    def __init__(self, spool: Spool, start: int, size: int) -> None:
        self._spool = spool
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self._size - self._at))
        part = self._spool.read_at(self._start + self._at, count)
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

"""Reads a ledger: streams of events, blobs, signals and job ids.

It works on any connection. `store.py` appends.
"""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

from msgspec import Struct

from orc.ledger.blob_rows import STANDS_FOR_FILE, files_of, open_content, stands_for_file
from orc.ledger.bounds import BLOB_BYTES_MAX, STORED_BYTES_MIN, Gathered
from orc.ledger.codec import EVENT_COLUMNS, parse_text, row_to_recorded
from orc.ledger.command_lines import quoted_command
from orc.ledger.connection import connect_reader, storage_errors
from orc.ledger.digest import Digest
from orc.ledger.errors import REMOVED, CorruptLedger, FileTooLarge, RemovedBlob
from orc.ledger.events import JobId, Payload, Recorded, StoredEvent
from orc.ledger.files.file_store import CHUNK_BYTES, FileStore
from orc.ledger.files.way import real_path
from orc.ledger.gathered import gathered_value
from orc.ledger.names import find_job
from orc.ledger.stored import parse_object
from orc.ledger.wording import size_text

_POSITION, _VERSION, _DATA = 0, 2, 7
_STREAM = f"SELECT {EVENT_COLUMNS} FROM events WHERE job_id = ? AND version > ? ORDER BY version"
_Made = TypeVar("_Made")


class Signal(Struct, frozen=True):
    """A request to a job's owner from another process. Ids count over the whole ledger."""

    id: int
    job_id: JobId
    kind: str
    data: dict[str, Any]


class Head(Struct, frozen=True):
    """The version and hash of a stream's last event; 0 and "" for an empty stream."""

    version: int
    hash: str


class LedgerReader:
    """Read access to a ledger. Use it as a context manager, or call `close`."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, *, files: FileStore | None = None
    ) -> None:
        self.path = path
        self.connection = connection
        self._files = files

    @classmethod
    def open(cls, path: Path, *, checked: bool = True) -> LedgerReader:
        """Open the file at `path`; the arguments and the errors are those of `connect_reader`."""
        # What lies beside the ledger is found by its real path, whatever name was given.
        return LedgerReader(real_path(path), connect_reader(path, checked=checked))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    @property
    def files(self) -> FileStore:
        """The large files beside the ledger, or in the bundle."""
        if self._files is None:
            self._files = files_of(self.path, self.connection)
        return self._files

    def reopen(self) -> None:
        """Read the ledger as it is now. Raises what `connect_reader` raises."""
        self.connection.close()
        self.connection = connect_reader(self.path)
        self._files = None

    def read_stream(self, job_id: str, *, after: int = 0) -> Generator[Recorded, None, None]:
        """The job's events with a version above `after`, in order."""
        return self._read(_STREAM, (job_id, after), by=_VERSION, make=row_to_recorded)

    def read_stored(self, job_id: str, *, after: int = 0) -> Generator[StoredEvent, None, None]:
        """As `read_stream`, each event with the text of its data."""
        return self._read(
            _STREAM,
            (job_id, after),
            by=_VERSION,
            make=lambda row: (row_to_recorded(row), row[_DATA]),
        )

    def read_event(self, job_id: str, version: int) -> Recorded:
        """One event of the job. Raises CorruptLedger if it is missing."""
        query = f"SELECT {EVENT_COLUMNS} FROM events WHERE job_id = ? AND version = ?"
        for recorded in self._read(query, (job_id, version), by=_VERSION, make=row_to_recorded):
            return recorded
        raise CorruptLedger(f"{self.path}: event {version} of {job_id} is missing")

    def read_step(self, job_id: str, step: str) -> Iterator[Recorded]:
        """The events of one step of the job, in order."""
        return self._read(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE job_id = ? AND step = ? ORDER BY version",
            (job_id, step),
            by=_VERSION,
            make=row_to_recorded,
        )

    def read_all(self, *, after: int = 0) -> Iterator[Recorded]:
        """Every event with a position above `after`, in order of position."""
        return self._read(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE position > ? ORDER BY position",
            (after,),
            by=_POSITION,
            make=row_to_recorded,
        )

    def head(self, job_id: str) -> Head:
        """The current head of the job's stream."""
        with storage_errors(self.path):
            row = self.connection.execute(
                "SELECT version, hash FROM events WHERE job_id = ? ORDER BY version DESC LIMIT 1",
                (job_id,),
            ).fetchone()
        return Head(*row) if row else Head(0, "")

    def read_blob(self, digest: str) -> bytes:
        """The bytes of a blob; those of a stored file are compared with the digest.

        Raises CorruptLedger if the blob is missing, RemovedBlob if its bytes were removed,
        FileTooLarge for a stored file that is larger than a value may be.
        """
        content, size_bytes = self._find_blob(digest, "content")
        if stands_for_file(content, size_bytes):
            if size_bytes > BLOB_BYTES_MAX:
                size, limit = size_text(size_bytes), size_text(BLOB_BYTES_MAX)
                raise FileTooLarge(
                    f"{self.path}: the file {digest[:12]}... of {size} cannot be read as one value; "
                    f"the limit is {limit}"
                )
            return b"".join(self.blob_chunks(digest))
        return content.encode() if isinstance(content, str) else bytes(content)

    def is_stored_file(self, digest: str) -> bool:
        """Whether the bytes of a blob are beside the ledger. Raises as `read_blob`."""
        return bool(self._find_blob(digest)[0])

    def blob_size(self, digest: str) -> int:
        """The size of a blob in bytes. Raises CorruptLedger and RemovedBlob as `read_blob`."""
        return int(self._find_blob(digest)[1])

    def open_blob(self, digest: str) -> BinaryIO:
        """A blob of any size as an open file, which is read in parts and is not checked.

        It must be closed before this reader. Raises CorruptLedger, RemovedBlob, ExposedFiles.
        """
        is_file, size_bytes = self._find_blob(digest)
        if is_file:
            with storage_errors(self.path):
                return self.files.open(digest)
        if size_bytes > STORED_BYTES_MIN:
            return open_content(self.connection, self.path, digest)
        return io.BytesIO(self.read_blob(digest))

    def blob_chunks(self, digest: str) -> Iterator[bytes]:
        """The bytes of a blob of any size, in parts; those of a stored file are checked.

        Raises what `open_blob` raises, and CorruptLedger after the last part if a stored file does
        not match its digest: do not use the parts before the end.
        """
        is_file, left = self._find_blob(digest)
        if is_file:
            with storage_errors(self.path):
                for chunk in self.files.chunks(digest):
                    left -= len(chunk)
                    if left < 0:
                        raise CorruptLedger(
                            f"{self.path}: the file {digest[:12]}... is larger than was recorded"
                        )
                    yield chunk
            return
        with self.open_blob(digest) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def _find_blob(self, digest: str, column: str = STANDS_FOR_FILE) -> tuple[Any, Any]:
        """A column of the blob's row and its size. Raises CorruptLedger, RemovedBlob."""
        with storage_errors(self.path):
            row = self.connection.execute(
                f"SELECT {column}, size_bytes, CASE typeof(content) WHEN 'integer' THEN content END "
                "FROM blobs WHERE sha256 = ?",
                (digest,),
            ).fetchone()
        if row is None:
            raise CorruptLedger(f"{self.path}: blob {digest} is missing")
        if row[2] is not None:
            note = removal_note(self.connection, row[2])
            raise RemovedBlob(f"{self.path}: {REMOVED}{digest[:12]}... {note}", digest)
        return row[0], row[1]

    def read_payload(self, payload: Payload | None) -> Any:
        """The JSON value of a payload; None without a payload.

        Raises FileTooLarge if its parts together are too large for one value.
        """
        if payload is None:
            return None
        if payload.parts is not None:
            value = gathered_value(payload, self.read_payload)
            if isinstance(value, Gathered):
                raise FileTooLarge(f"the value cannot be read as one: {value.why_not_one}")
            return value
        if payload.sha256 is None:
            return payload.value
        content = self.read_blob(payload.sha256).decode("utf-8", "replace")
        return content if payload.text else parse_text(content)

    def read_payload_bytes(self, payload: Payload) -> bytes:
        """The original bytes of a text payload."""
        if payload.sha256 is None:
            return str(payload.value or "").encode()
        return self.read_blob(payload.sha256)

    def knows_blob(self, digest: Digest) -> bool:
        """Whether the ledger has the blob, its bytes were not removed, and a stored file is there."""
        with storage_errors(self.path):
            found = self.connection.execute(
                f"SELECT {STANDS_FOR_FILE}, size_bytes FROM blobs WHERE sha256 = ? "
                "AND typeof(content) <> 'integer'",
                (digest,),
            ).fetchone()
            return found is not None and (not found[0] or self.files.size(digest) == found[1])

    def names_blob(self, digest: Digest) -> bool:
        """Whether the ledger has the blob or had it before its bytes were removed."""
        with storage_errors(self.path):
            found = self.connection.execute("SELECT 1 FROM blobs WHERE sha256 = ?", (digest,))
            return found.fetchone() is not None

    def read_signals(self, job_id: str, *, after: int = 0) -> list[Signal]:
        """The job's signals with an id above `after`, oldest first."""
        with storage_errors(self.path):
            rows = self.connection.execute(
                "SELECT id, job_id, kind, data FROM signals WHERE job_id = ? AND id > ? ORDER BY id",
                (job_id, after),
            ).fetchall()
        return [Signal(row[0], JobId(row[1]), row[2], parse_object(row[3])) for row in rows]

    def find_job(self, name: str) -> JobId:
        """The job that `name` identifies: an id, a unique part of an id, `latest`, or `latest~1`.

        Raises NoSuchJob, with the candidates if the name is ambiguous.
        """
        return JobId(find_job(self.connection, name, path=self.path))

    def df(self, table: str, *, job_id: str | None = None) -> Any:
        """A table of the ledger as a data frame of pandas, else of polars; of one job or of all.

        Raises KeyError if there is no such table, NoDataFrames if neither is installed.
        """
        from orc.ledger.tables import table_frame

        with storage_errors(self.path):
            return table_frame(self.connection, table, job_id)

    def _read(
        self,
        query: str,
        arguments: tuple[Any, ...],
        *,
        by: int,
        make: Callable[[tuple[Any, ...]], _Made],
    ) -> Generator[_Made, None, None]:
        """What is made of the rows; the numbers in column `by` must rise.

        If pages of the file refer to each other in a cycle, the same rows come without end.
        """
        before = 0
        with storage_errors(self.path):
            for row in self.connection.execute(query, arguments):
                made = make(row)
                number = row[by]
                if number <= before:
                    raise CorruptLedger(
                        f"{self.path}: event {number} comes after event {before}; run "
                        f"{quoted_command('verify')} to "
                        "see the damage, and restore the file from a backup"
                    )
                before = number
                yield made


def removal_note(connection: sqlite3.Connection, position: int) -> str:
    """The end of a message about removed bytes: when and why the event at `position` did it."""
    row = connection.execute(
        "SELECT job_id, version, recorded_at, data FROM events WHERE position = ? "
        "AND type = 'blob.removed'",
        (position,),
    ).fetchone()
    if row is None:
        return (
            f"were removed, but the ledger has no event for it; run "
            f"{quoted_command('verify')} for details"
        )
    job_id, version, recorded_at, data = row
    fields = parse_object(data)
    reason = f": {fields['reason']}" if fields.get("reason") else ""
    return (
        f"were removed by orc {fields.get('cause')} on {recorded_at[:10]} "
        f"(event {version} of {job_id}){reason}"
    )


def read_ledger_id(connection: sqlite3.Connection) -> str:
    """The random identity of the ledger; "" if this version has not opened it for writing yet."""
    row = connection.execute("SELECT value FROM orc_meta WHERE key = 'ledger_id'").fetchone()
    return "" if row is None else str(row[0])

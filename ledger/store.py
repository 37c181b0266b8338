"""Appending to a ledger: events, their blobs and the read model in one transaction.

Every write holds the write lock, and nothing here suspends. Which events to
write is the scheduler's business; how tables are derived from them is the
projector's, which whoever opens the ledger provides.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from ledger import failpoints
from ledger.codec import dump_event
from ledger.connection import connect_writer, storage_errors
from ledger.digest import canonical_json, digest_bytes
from ledger.errors import NoLedger, StorageError, VersionConflict
from ledger.events import Payload, Recorded
from ledger.in_use import FilesInUse
from ledger.locks import WriteLock
from ledger.reader import Head, LedgerReader
from ledger.schema import is_current, migrate

INLINE_BYTES_MAX = 1024
"""Values whose JSON is longer than this become blobs, so that event rows stay small."""

BLOB_BYTES_MAX = 256 * 1024 * 1024
_REBUILD_BATCH = 1000
_NULL = b"\xff" * 8


class Projector(Protocol):
    """What derives the read model: its tables, and how events change them."""

    version: int
    """Raised when the tables' shape changes; opening the ledger then rebuilds them."""

    def create(self, connection: sqlite3.Connection) -> None:
        """Drop the tables if they exist and create them empty."""

    def apply(self, connection: sqlite3.Connection, batch: Sequence[Recorded]) -> None:
        """Bring the tables from before the events to after them."""


class Ledger(LedgerReader):
    """A ledger that may be appended to, by this object's thread only."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, lock: WriteLock, projector: Projector
    ) -> None:
        super().__init__(path, connection)
        self._lock = lock
        self._projector = projector
        self.journal_mode: str = connection.execute("PRAGMA journal_mode").fetchone()[0]
        """`wal`, unless the filesystem does not let it."""
        self._in_use = FilesInUse(path, has_wal=self.journal_mode == "wal")
        self._written: dict[str, Head] = {}

    def append(self, batch: Sequence[Recorded], *, blobs: Iterable[bytes] = ()) -> None:
        """Commit events, in order, with the blobs that they name.

        The batch may hold events of several streams; each stream's versions go on
        from its head. Raises VersionConflict when one does not, StorageError when
        the disk does not take them; then nothing of the batch is stored.
        """
        with self._transaction():
            self._insert_blobs(blobs)
            heads = self._insert_events(batch)
            self._projector.apply(self.connection, batch)
        self._written.update(heads)

    def append_blobs(self, blobs: Iterable[bytes]) -> None:
        """Commit blobs ahead of the event that will name them."""
        with self._transaction():
            self._insert_blobs(blobs)

    def send_signal(self, job_id: str, *, kind: str, data: dict[str, Any], created_at: str) -> int:
        """Leave a wish for the job's owner; the signal's id."""
        with self._transaction():
            cursor = self.connection.execute(
                "INSERT INTO signals (job_id, kind, data, created_at) VALUES (?, ?, ?, ?)",
                (job_id, kind, canonical_json(data), created_at),
            )
            assert cursor.lastrowid is not None
            return cursor.lastrowid

    def rebuild(self) -> int:
        """Derive the read model anew from all events, in one transaction; how many there were."""
        with self._transaction():
            return self._rebuild()

    def close(self) -> None:
        """Close the connection; the last one to close checkpoints, under the write lock."""
        with storage_errors(self.path), self._lock:
            failpoints.hit("checkpoint.before")
            super().close()
            failpoints.hit("checkpoint.after")
        self._lock.close()

    def _rebuild(self) -> int:
        self._projector.create(self.connection)
        events = self.read_all()
        count = 0
        while batch := list(islice(events, _REBUILD_BATCH)):
            self._projector.apply(self.connection, batch)
            count += len(batch)
        self.connection.execute(
            "INSERT INTO orc_meta VALUES ('read_model', ?) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (str(self._projector.version),),
        )
        return count

    def _prepare(self) -> None:
        if is_current(self.connection) and self._read_model_version() == self._projector.version:
            return
        with self._transaction():
            # Another process may have been faster: look again, inside.
            migrate(self.connection)
            if self._read_model_version() != self._projector.version:
                self._rebuild()

    def _read_model_version(self) -> int:
        row = self.connection.execute(
            "SELECT value FROM orc_meta WHERE key = 'read_model'"
        ).fetchone()
        return int(row[0]) if row else 0

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with storage_errors(self.path), self._lock:
            self._in_use.check()
            failpoints.hit("ledger.before_begin")
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                failpoints.hit("ledger.after_insert")
                self.connection.execute("COMMIT")
            except BaseException:
                # A full disk has rolled back already, and a second time is an error.
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
            failpoints.hit("ledger.after_commit")

    def _insert_blobs(self, blobs: Iterable[bytes]) -> None:
        for content in blobs:
            _within_limit(content)
            self.connection.execute(
                "INSERT INTO blobs VALUES (?, ?, ?)",
                (digest_bytes(content), len(content), _as_text_if_possible(content)),
            )

    def _insert_events(self, batch: Sequence[Recorded]) -> dict[str, Head]:
        heads: dict[str, Head] = {}
        rows = []
        for recorded in batch:
            job_id, event = recorded.job_id, recorded.event
            head = heads.get(job_id) or self._head_before(job_id, recorded.version)
            if recorded.version != head.version + 1:
                raise VersionConflict(
                    f"{job_id}: event {recorded.version} does not follow {head.version}; "
                    "another process has appended to the job"
                )
            step = getattr(event, "step", None)
            attempt = getattr(event, "attempt", None)
            data = canonical_json(dump_event(event))
            link = chain_hash(
                head.hash,
                (job_id, recorded.version, event.type, step, attempt, recorded.recorded_at, data),
            )
            heads[job_id] = Head(recorded.version, link)
            rows.append(
                (
                    job_id,
                    recorded.version,
                    event.type,
                    step,
                    attempt,
                    recorded.recorded_at,
                    data,
                    link,
                )
            )
        try:
            self.connection.executemany(
                "INSERT INTO events "
                "(job_id, version, type, step, attempt, recorded_at, data, hash) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
        except sqlite3.IntegrityError as error:
            raise VersionConflict(
                f"{batch[0].job_id}: another process has appended to the job ({error})"
            ) from error
        return heads

    def _head_before(self, job_id: str, version: int) -> Head:
        # The head that this object wrote last saves a query. Another writer may
        # have gone on from it: then the version does not follow, or the insert
        # guard refuses it, for events are never replaced.
        known = self._written.get(job_id)
        if known is not None and known.version + 1 == version:
            return known
        return self.head(job_id)


def open_ledger(path: Path, *, projector: Projector, create: bool = True) -> Ledger:
    """Open the ledger at `path` for appending, bringing it up to date first.

    Raises NoLedger when there is none and `create` is false, else what
    `connect_writer` raises.
    """
    if not create and not path.exists():
        raise NoLedger(
            f"there is no ledger at {path}: run a spec first, or name one with --db or ORC_DB"
        )
    if not path.parent.is_dir():
        raise StorageError(f"{path}: its folder does not exist; create it first")
    lock = WriteLock(path)
    try:
        with lock:
            connection = connect_writer(path)
        ledger = Ledger(path, connection, lock, projector)
        try:
            with storage_errors(path):
                ledger._prepare()
        except BaseException:
            connection.close()
            raise
    except BaseException:
        lock.close()
        raise
    return ledger


def chain_hash(previous: str, columns: Iterable[str | bytes | int | None]) -> str:
    """The hash of an event: SHA-256 over the previous hash and the stored columns.

    Each column goes in with its length before it, eight bytes, big-endian; a
    null as eight bytes of 0xff.
    """
    parts = [bytes.fromhex(previous)]
    for column in columns:
        if column is None:
            parts.append(_NULL)
        else:
            content = column if isinstance(column, bytes) else str(column).encode()
            parts += (len(content).to_bytes(8, "big"), content)
    return hashlib.sha256(b"".join(parts)).hexdigest()


def pack(value: Any) -> tuple[Payload, bytes | None]:
    """A JSON value as a payload, and the blob that has to be stored with it, if any.

    Raises ValueError for what JSON cannot hold and for more than a blob may have.
    """
    if isinstance(value, str):
        content = _within_limit(value.encode())
        if len(content) <= INLINE_BYTES_MAX:
            return Payload(value=value), None
        return Payload(sha256=digest_bytes(content), size_bytes=len(content), text=True), content
    if value is None or isinstance(value, bool | int | float):
        return Payload(value=value), None
    content = _within_limit(canonical_json(value).encode())
    if len(content) <= INLINE_BYTES_MAX:
        # As a reader will find it, keys in their stored order: texts made of it must not differ.
        return Payload(value=json.loads(content)), None
    return Payload(sha256=digest_bytes(content), size_bytes=len(content)), content


def pack_bytes(content: bytes) -> tuple[Payload, bytes | None]:
    """Bytes, such as a log, as a text payload that gives them back unchanged."""
    text = _as_text_if_possible(content)
    if isinstance(text, str) and len(content) <= INLINE_BYTES_MAX:
        return Payload(value=text), None
    return Payload(sha256=digest_bytes(content), size_bytes=len(content), text=True), content


def _within_limit(content: bytes) -> bytes:
    if len(content) > BLOB_BYTES_MAX:
        raise ValueError(f"{len(content)} bytes are more than the {BLOB_BYTES_MAX} of a blob")
    return content


def _as_text_if_possible(content: bytes) -> str | bytes:
    """Text where it is UTF-8 without NUL, so that Datasette shows it; else the bytes."""
    if b"\0" in content:
        return content
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content

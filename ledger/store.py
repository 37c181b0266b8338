"""Appends to a ledger: events, their blobs and the read model in one transaction.

Every write holds the write lock, and no function here suspends. The scheduler decides which
events to append. The projector, an argument of `open_ledger`, derives the tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

from orc.ledger import failpoints
from orc.ledger.blob_rows import files_of
from orc.ledger.codec import INSERT_EVENT, dump_event
from orc.ledger.command_lines import quoted_command
from orc.ledger.connection import connect_writer, no_ledger, refuse_exposed, storage_errors
from orc.ledger.digest import canonical_json, digest_bytes, event_hash
from orc.ledger.errors import (
    CorruptLedger,
    NoLedger,
    SecretFound,
    StorageError,
    VersionConflict,
)
from orc.ledger.events import Recorded, StoredEvent
from orc.ledger.files.file_store import StoredFile
from orc.ledger.files.identity import claim_locks, new_ledger_id
from orc.ledger.files.in_use import FilesInUse
from orc.ledger.files.ledger_origin import is_settled, settle
from orc.ledger.files.locks import WriteLock
from orc.ledger.files.new_file import require_folder
from orc.ledger.files.way import real_path
from orc.ledger.packing import is_text, within_limit
from orc.ledger.reader import Head, LedgerReader, read_ledger_id
from orc.ledger.schema import is_current, migrate, parse_version
from orc.ledger.secrets.masking import Mask
from orc.ledger.stored import UNEXPECTED

_REBUILD_BATCH = 1000


class Projector(Protocol):
    """Derives the read model from events."""

    version: int
    """Increased when the tables change; opening an older ledger then rebuilds them."""

    def create(self, connection: sqlite3.Connection) -> None:
        """Drop the read model's tables if they exist, and create them empty."""

    def apply(self, connection: sqlite3.Connection, batch: Sequence[Recorded]) -> None:
        """Update the tables with a batch of events."""

    def derived_again(
        self, connection: sqlite3.Connection, job_id: str
    ) -> AbstractContextManager[None]:
        """Delete the rows of a job, which the block derives from its events; the costs stay."""


class CommitFollower(Protocol):
    """Gets the events of each commit, so that it need not read again what was just written."""

    def take(self, committed: Sequence[StoredEvent]) -> None:
        """Take committed events, of any job. The call neither raises nor waits."""


AnyFollower = TypeVar("AnyFollower", bound=CommitFollower)


class Ledger(LedgerReader):
    """A ledger that can be appended to, from one thread.

    It refuses content that contains a secret of its mask. The code that receives content must
    mask it before its digest is computed.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        lock: WriteLock,
        projector: Projector,
        *,
        mask: Mask,
    ) -> None:
        # Other threads add files to the store, and must not use the connection.
        super().__init__(path, connection, files=files_of(path, connection))
        self._lock = lock
        self._projector = projector
        self._mask = mask
        self.journal_mode: str = connection.execute("PRAGMA journal_mode").fetchone()[0]
        """`wal`, or `truncate` if the filesystem does not support WAL."""
        self._in_use = FilesInUse(path, has_wal=self.journal_mode == "wal")
        self._written: dict[str, Head] = {}
        self._followers: list[CommitFollower] = []

    @property
    def mask(self) -> Mask:
        """The secrets that this ledger does not store."""
        return self._mask

    def widen_mask(self, mask: Mask) -> Mask:
        """Hide the secrets of `mask` too; the mask with all secrets."""
        self._mask = self._mask.joined(mask)
        return self._mask

    def append(
        self,
        batch: Sequence[Recorded],
        *,
        blobs: Iterable[bytes] = (),
        stored: Iterable[StoredFile] = (),
    ) -> None:
        """Commit events, in order, with the blobs and the stored files that they name.

        The batch may hold events of several streams; in each stream, versions must continue
        from the head. If the call raises, nothing of the batch is stored: VersionConflict
        for a wrong version, SecretFound, LedgerBusy, StorageError. `stored` are files that were
        added to `files`; the caller has made sure that they contain no secret.
        """
        with self._transaction():
            self._insert_blobs(blobs)
            self._insert_stored(stored)
            heads, rows = self._insert_events(batch)
            self._projector.apply(self.connection, batch)
        self._written.update(heads)
        if self._followers:
            self._notify_followers(batch, rows)

    @contextmanager
    def followed_by(self, follower: AnyFollower) -> Iterator[AnyFollower]:
        """Tell the follower of each commit of this object until the block ends."""
        self._followers.append(follower)
        try:
            yield follower
        finally:
            self._followers.remove(follower)

    def check_in_use(self) -> None:
        """Raise StorageError if the ledger's file was deleted or replaced since it was opened."""
        self._in_use.check()

    def append_blobs(self, blobs: Iterable[bytes]) -> None:
        """Commit blobs before the event that will name them."""
        with self._transaction():
            self._insert_blobs(blobs)

    def send_signal(self, job_id: str, *, kind: str, data: dict[str, Any], created_at: str) -> int:
        """Store a signal for the job's owner; returns the signal's id."""
        with self._transaction():
            cursor = self.connection.execute(
                "INSERT INTO signals (job_id, kind, data, created_at) VALUES (?, ?, ?, ?)",
                (job_id, kind, canonical_json(self._mask.value(data)), created_at),
            )
            assert cursor.lastrowid is not None
            return cursor.lastrowid

    def rebuild(self) -> int:
        """Rebuild the read model in one transaction; returns the number of events."""
        with self._transaction():
            return self._rebuild()

    def close(self) -> None:
        """Close the connection under the write lock. The last connection checkpoints."""
        try:
            with storage_errors(self.path), self._lock:
                failpoints.hit("checkpoint.before")
                super().close()
                failpoints.hit("checkpoint.after")
        finally:
            self._in_use.close()
            self._lock.close()

    def _rebuild(self) -> int:
        self._projector.create(self.connection)
        count = self._apply_all(self.read_all())
        self.connection.execute(
            "INSERT INTO orc_meta VALUES ('read_model', ?) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (str(self._projector.version),),
        )
        return count

    def _derive_again(self, job_ids: Iterable[str]) -> None:
        """Derive the rows of these jobs from their events; the caller has begun a transaction."""
        for job_id in job_ids:
            with self._projector.derived_again(self.connection, job_id):
                self._apply_all(self.read_stream(job_id))

    def _apply_all(self, events: Iterator[Recorded]) -> int:
        count = 0
        try:
            while batch := list(islice(events, _REBUILD_BATCH)):
                self._projector.apply(self.connection, batch)
                count += len(batch)
        except UNEXPECTED as error:
            cause = f"{type(error).__name__}: {error}"
            raise CorruptLedger(
                f"{self.path}: its tables cannot be derived from its events ({cause}); "
                f"run {quoted_command('verify')} to see what was changed"
            ) from error
        return count

    def _prepare(self) -> None:
        if not self._is_prepared():
            with self._transaction():
                # Another process may have migrated the file, so check again inside the transaction.
                migrate(self.connection)
                self.connection.execute(
                    "INSERT OR IGNORE INTO orc_meta VALUES ('ledger_id', ?)", (new_ledger_id(),)
                )
                settle(self.connection, self.path)
                if self._read_model_version() != self._projector.version:
                    self._rebuild()
        with self._lock:
            claim_locks(self.path, read_ledger_id(self.connection))

    def _is_prepared(self) -> bool:
        return (
            is_current(self.connection)
            and self._read_model_version() == self._projector.version
            and read_ledger_id(self.connection) != ""
            and is_settled(self.connection, self.path)
        )

    def _read_model_version(self) -> int:
        row = self.connection.execute(
            "SELECT value FROM orc_meta WHERE key = 'read_model'"
        ).fetchone()
        return parse_version(row[0]) if row else 0

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
                # SQLite may have rolled back already (full disk); a second ROLLBACK would fail.
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
            failpoints.hit("ledger.after_commit")

    def _insert_blobs(self, blobs: Iterable[bytes]) -> None:
        for content in blobs:
            within_limit(content)
            self._refuse_secret(content, "a blob")
            # SQLite converts to text, because decoding here would copy a large blob.
            kind = "CAST(? AS TEXT)" if is_text(content) else "?"
            self.connection.execute(
                f"INSERT INTO blobs VALUES (?, ?, {kind})",
                (digest_bytes(content), len(content), content),
            )

    def _insert_stored(self, stored: Iterable[StoredFile]) -> None:
        for file in stored:
            # A removal may have removed the same content since the file was added. It removes files
            # under the write lock, so that it cannot do so between this check and the commit.
            if self.files.size(file.sha256) != file.size_bytes:
                raise StorageError(
                    f"{self.files.path}: the file {file.sha256[:12]}... was removed before it was "
                    "recorded; resume the job"
                )
            self.connection.execute(
                "INSERT INTO blobs VALUES (?, ?, X'')", (file.sha256, file.size_bytes)
            )

    def _notify_followers(self, batch: Sequence[Recorded], rows: Sequence[tuple[Any, ...]]) -> None:
        """Notify the followers of a batch that was committed; `rows` are those of its events."""
        committed = [
            (Recorded(job_id, version, at, event, hash=link), data)
            for (job_id, version, at, event, *_), (*_, data, link) in zip(batch, rows, strict=True)
        ]
        for follower in self._followers:
            follower.take(committed)

    def _insert_events(
        self, batch: Sequence[Recorded]
    ) -> tuple[dict[str, Head], list[tuple[Any, ...]]]:
        """Insert the events; the new heads of their streams, and the rows."""
        heads: dict[str, Head] = {}
        rows: list[tuple[Any, ...]] = []
        for recorded in batch:
            job_id, version, event = recorded.job_id, recorded.version, recorded.event
            head = heads.get(job_id) or self._head_before(job_id, version)
            if version != head.version + 1:
                raise VersionConflict(
                    f"{job_id}: event {version} does not follow event {head.version}; "
                    "another process has appended to the job"
                )
            step = getattr(event, "step", None)
            attempt = getattr(event, "attempt", None)
            data = canonical_json(dump_event(event))
            if self._mask:
                self._refuse_secret(data, f"the event {event.type} of {job_id}")
            columns = (job_id, version, event.type, step, attempt, recorded.recorded_at)
            link = event_hash(head.hash, (*columns, data))
            heads[job_id] = Head(version, link)
            rows.append((*columns, data, link))
        try:
            self.connection.executemany(INSERT_EVENT, rows)
        except sqlite3.IntegrityError as error:
            raise VersionConflict(
                f"{batch[0].job_id}: another process has appended to the job ({error})"
            ) from error
        return heads, rows

    def _refuse_secret(self, content: str | bytes, what: str) -> None:
        name = self._mask.find(content)
        if name is not None:
            raise SecretFound(f"{what} contains the value of the secret {name}; it was not stored")

    def _head_before(self, job_id: str, version: int) -> Head:
        # The cached head saves a query. If another writer has appended since, the version does
        # not match the stream, and the trigger on `events` refuses the insert.
        known = self._written.get(job_id)
        if known is not None and known.version + 1 == version:
            return known
        return self.head(job_id)


def open_ledger(path: Path, *, projector: Projector, mask: Mask, create: bool = True) -> Ledger:
    """Open the ledger at `path` for appending; migrates it and its read model if needed.

    `mask` has the secrets that must not be stored; `Ledger.widen_mask` adds to it. The files are
    checked before the first of them, a lock, is opened. Raises NoLedger if the ledger does not
    exist and `create` is false, or is a link to nothing, NoFolder, and what `connect_writer` raises.
    """
    if not path.exists() and (not create or path.is_symlink()):
        raise NoLedger(no_ledger(path))
    path = real_path(path)
    require_folder(path)
    with storage_errors(path):
        refuse_exposed(path)
    lock = WriteLock(path)
    try:
        with lock:
            connection = connect_writer(path)
        ledger = Ledger(path, connection, lock, projector, mask=mask)
        try:
            with storage_errors(path):
                ledger._prepare()
        except BaseException:
            connection.close()
            ledger._in_use.close()
            raise
    except BaseException:
        lock.close()
        raise
    return ledger

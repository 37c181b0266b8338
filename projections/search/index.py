"""The search index, `<db>.search`: a file beside the ledger that can be deleted at any time.

The index has words and no texts; a search reads the texts from the ledger. A search creates the
index and updates it to the ledger's last position. An index of another ledger, or from before bytes
were removed, is made again. `file.py` handles the file, `texts.py` chooses the texts, and `search.py`
answers queries.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from orc.ledger import failpoints
from orc.ledger.codec import EVENT_COLUMNS, row_to_recorded
from orc.ledger.errors import LedgerError
from orc.ledger.files.locks import FileLock
from orc.ledger.reader import LedgerReader, read_ledger_id
from orc.projections.search.file import NotAnIndex, lock_of, open_file, open_memory
from orc.projections.search.query import spaced
from orc.projections.search.texts import SEARCHED_TYPES, texts_of

VERSION = 1
"""Raise it if other words are indexed, or in another form: indexes of older versions are made again."""

_BATCH_EVENTS = 500


class SearchIndex:
    """An open index. Use it as a context manager.

    `is_kept` is false if the index is in memory, since no file can be written beside the ledger.
    """

    def __init__(
        self, connection: sqlite3.Connection, lock: FileLock | _ThreadLock, *, is_kept: bool
    ) -> None:
        self.connection = connection
        self.is_kept = is_kept
        self._lock = lock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.is_kept:
            self.connection.close()

    @property
    def position(self) -> int:
        """The position of the last event that is in the index."""
        return int(self._about().get("position", 0))

    def follow(self, reader: LedgerReader, *, within_s: float) -> bool:
        """Add the ledger's new events for about `within_s` seconds; returns whether all are added.

        Raises sqlite3.DatabaseError if the index is damaged, and LedgerError.
        """
        deadline = time.monotonic() + within_s
        if not self._lock.try_acquire():
            # Another process or thread is updating the index.
            return self.position >= last_position(reader)
        try:
            if not self._belongs_to(reader):
                self._start_again(reader)
            while self._add_batch(reader, deadline):
                if time.monotonic() > deadline:
                    return False
        finally:
            self._lock.release()
        return True

    def _about(self) -> dict[str, str]:
        return dict(self.connection.execute("SELECT key, value FROM about"))

    def _belongs_to(self, reader: LedgerReader) -> bool:
        about = self._about()
        position = int(about.get("position", 0))
        return (
            about.get("version") == str(VERSION)
            and about.get("ledger") == read_ledger_id(reader.connection)
            and about.get("first") == _hash_at(reader, _first_position(reader))
            and about.get("last") == _hash_at(reader, position)
            and about.get("removal") == str(_last_removal(reader))
        )

    def _start_again(self, reader: LedgerReader) -> None:
        with self._transaction():
            self.connection.execute("INSERT INTO words(words) VALUES ('delete-all')")
            self.connection.execute("DELETE FROM places")
            self.connection.execute("DELETE FROM about")
            self._note(
                version=str(VERSION),
                ledger=read_ledger_id(reader.connection),
                first=_hash_at(reader, _first_position(reader)),
                removal=str(_last_removal(reader)),
                position="0",
                last="",
            )

    def _add_batch(self, reader: LedgerReader, deadline: float) -> bool:
        """Add one batch of events in one transaction; returns whether more may be left."""
        position, end = self.position, last_position(reader)
        if position >= end:
            return False
        marks = ", ".join("?" * len(SEARCHED_TYPES))
        rows = reader.connection.execute(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE position > ? AND position <= ? "
            f"AND type IN ({marks}) ORDER BY position LIMIT ?",
            (position, end, *SEARCHED_TYPES, _BATCH_EVENTS),
        ).fetchall()
        added = 0
        with self._transaction():
            for row in rows:
                with suppress(LedgerError):
                    # Removed texts cannot be indexed; `orc verify` reports damaged ones.
                    self._add(reader, row)
                added += 1
                position = row[0]
                if time.monotonic() > deadline:
                    break
            is_last = added == len(rows) < _BATCH_EVENTS
            position = end if is_last else position
            self._note(position=str(position), last=_hash_at(reader, position))
            failpoints.hit("index.before_commit")
        return not is_last

    def _add(self, reader: LedgerReader, row: tuple[object, ...]) -> None:
        recorded = row_to_recorded(row)
        for what, text in texts_of(reader, recorded):
            added = self.connection.execute(
                "INSERT INTO places (position, job_id, what) VALUES (?, ?, ?)",
                (recorded.position, recorded.job_id, what),
            )
            self.connection.execute(
                "INSERT INTO words (rowid, text) VALUES (?, ?)", (added.lastrowid, spaced(text))
            )

    def _note(self, **about: str) -> None:
        self.connection.executemany(
            "INSERT OR REPLACE INTO about (key, value) VALUES (?, ?)", about.items()
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            # SQLite has rolled back already if the disk is full.
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")


class _ThreadLock:
    """The lock of an index in memory, for the threads of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def try_acquire(self) -> bool:
        return self._lock.acquire(blocking=False)

    def release(self) -> None:
        self._lock.release()


_in_memory: dict[Path, SearchIndex] = {}
_opening = threading.Lock()


def open_index(database: Path) -> SearchIndex:
    """The index of the ledger at that path; a new index is empty.

    If no file can be written beside the ledger, the index is in memory while this process lives.
    Raises sqlite3.DatabaseError if the index is damaged.
    """
    with _opening:
        try:
            connection = open_file(database)
        except NotAnIndex:
            if database not in _in_memory:
                connection = open_memory()
                _in_memory[database] = SearchIndex(connection, _ThreadLock(), is_kept=False)
            return _in_memory[database]
    return SearchIndex(connection, lock_of(database), is_kept=True)


def last_position(reader: LedgerReader) -> int:
    """The position of the ledger's last event; 0 if it has none."""
    return int(reader.connection.execute("SELECT max(position) FROM events").fetchone()[0] or 0)


def _first_position(reader: LedgerReader) -> int:
    return int(reader.connection.execute("SELECT min(position) FROM events").fetchone()[0] or 0)


def _last_removal(reader: LedgerReader) -> int:
    # `max(position)` alone would go back through all events, and not through the index of removals.
    row = reader.connection.execute(
        "SELECT max(+position) FROM events WHERE type = 'blob.removed'"
    ).fetchone()
    return int(row[0] or 0)


def _hash_at(reader: LedgerReader, position: int) -> str:
    row = reader.connection.execute(
        "SELECT hash FROM events WHERE position = ?", (position,)
    ).fetchone()
    return "" if row is None else str(row[0])

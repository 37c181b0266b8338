"""The file of the search index, `<db>.search`: creates, opens, checks and removes it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from orc.ledger.files.exposure import SIDE_FILES, examine_ledger
from orc.ledger.files.lock_paths import locks_dir
from orc.ledger.files.locks import INDEXER, FileLock
from orc.ledger.files.way import real_path
from orc.projections.search.query import TOKENIZER

APPLICATION_ID = 0x6F726373
"""`orcs` in ASCII, in the header of the file."""

_BUSY_TIMEOUT_S = 5.0
_REMOVE_WAIT_S = 15.0
_TABLES = (
    "CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    """CREATE TABLE places (id INTEGER PRIMARY KEY, position INTEGER NOT NULL,
        job_id TEXT NOT NULL, what TEXT NOT NULL) STRICT""",
    "CREATE INDEX places_by_job ON places (job_id)",
    f"CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize='{TOKENIZER}')",
)


class NotAnIndex(Exception):
    """The path has a file that is not an index of orc, or an index cannot be written there."""


def index_path(database: Path) -> Path:
    """The path of a ledger's index, `<db>.search`, beside the real file."""
    real = real_path(database)
    return real.with_name(real.name + ".search")


def open_file(database: Path) -> sqlite3.Connection:
    """Connect to the index of the ledger at that path; the index is created if there is none.

    Raises NotAnIndex if the path has another file or cannot be written, or if another user could
    change the ledger or the index, and sqlite3.DatabaseError if the index is damaged.
    """
    path = index_path(database)
    try:
        if not examine_ledger(database).is_own:
            raise NotAnIndex(f"{path} could be changed by another user")
        with suppress(FileExistsError):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(path, flags, 0o600))
    except OSError as error:
        raise NotAnIndex(f"{path}: {error.strerror}") from error
    _check_file(path)
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        raise NotAnIndex(f"{path} cannot be written")
    connection = _connect(str(path))
    try:
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
            _create(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_memory() -> sqlite3.Connection:
    """Connect to a new index in memory."""
    connection = _connect(":memory:")
    _create(connection)
    return connection


def remove_index(database: Path) -> None:
    """Remove the index, since it may have words of texts that were removed from the ledger."""
    path = index_path(database)
    try:
        if not examine_ledger(database).is_own:
            return
        if os.path.lexists(path):
            _check_file(path)
    except (NotAnIndex, OSError):
        return
    names = [path.with_name(path.name + suffix) for suffix in ("", *SIDE_FILES)]
    if not any(os.path.lexists(name) for name in names):
        return
    lock = lock_of(database)
    # A process that updates the index holds the lock for a second or two.
    is_held = lock.acquire(wait_s=_REMOVE_WAIT_S)
    try:
        for name in names:
            name.unlink(missing_ok=True)
    finally:
        if is_held:
            lock.release()


def lock_of(database: Path) -> FileLock:
    """The lock of the index: only its holder writes to the index or removes it."""
    return FileLock(locks_dir(database) / INDEXER)


def _check_file(path: Path) -> None:
    """Raise NotAnIndex unless the file is an index or empty. A damaged index passes."""
    if path.is_symlink() or not path.is_file():
        raise NotAnIndex(f"{path} is not a regular file")
    try:
        with closing(sqlite3.connect(path)) as probe:
            # With this setting the header can be read even if the schema is damaged.
            probe.execute("PRAGMA writable_schema = ON")
            found = probe.execute("PRAGMA application_id").fetchone()[0]
        if found != APPLICATION_ID and path.stat().st_size > 0:
            raise NotAnIndex(f"{path} is not a search index of orc")
    except (sqlite3.DatabaseError, OSError) as error:
        raise NotAnIndex(f"{path}: {error}") from error


def _connect(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        name, isolation_level=None, timeout=_BUSY_TIMEOUT_S, check_same_thread=False
    )
    # The index can be made again, so a commit need not wait for the disk.
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back already if the disk is full.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise

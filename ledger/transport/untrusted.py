"""Reads a bundle from an untrusted source.

The rows are checked while they are copied into a private database with orc's own schema; the
caller works with that copy. The bundle's views, triggers, indexes and other tables are never
used, so that SQL in the file cannot run.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from orc.ledger.blob_rows import BundledFiles, files_of, stands_for_file
from orc.ledger.codec import INSERT_EVENT, STREAM_COLUMNS, row_to_recorded
from orc.ledger.command_lines import ledger_named, quoted_command
from orc.ledger.digest import chain_hash
from orc.ledger.errors import CorruptLedger, LedgerError, NoLedger, NotALedger, StorageError
from orc.ledger.files.file_store import FileStore
from orc.ledger.integrity import blobs_of, removals_of
from orc.ledger.names import check_job_id
from orc.ledger.reader import LedgerReader
from orc.ledger.removal import digests_in_specs
from orc.ledger.schema import MIGRATIONS, check_header, migrate
from orc.ledger.schema_check import limit, schema_of, schema_of_version
from orc.ledger.stored import has_event_types

_TABLES = ("events", "blobs")
_ALLOWED = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_PRAGMA,
    sqlite3.SQLITE_FUNCTION,
}
_READ_EVENTS = f"SELECT {STREAM_COLUMNS} FROM events NOT INDEXED ORDER BY position"
_NAME_A_BUNDLE = "name a file that `orc bundle` wrote"
_READ_BLOBS = "SELECT sha256, size_bytes, content FROM blobs NOT INDEXED"


@contextmanager
def open_bundle(path: Path) -> Iterator[tuple[LedgerReader, str]]:
    """A reader of a checked, private copy of the bundle, and the id of its job.

    The copy has no read model. Raises NoLedger, NotALedger, LedgerTooNew, StorageError, and
    CorruptLedger for the first problem.
    """
    size_max = _refuse_special(path)
    with closing(sqlite3.connect("", isolation_level=None)) as copy:
        copy.execute("BEGIN")
        migrate(copy)
        with ExitStack() as opened:
            with _as_damage(path):
                bundle = opened.enter_context(closing(_connect(path)))
                # Large files are not copied: they are checked here, and again when they are imported.
                files = files_of(path, bundle)
                job_id = _copy_events(bundle, copy, path, size_max)
                _copy_blobs(bundle, copy, path, job_id, size_max, files)
            copy.execute("COMMIT")
            yield LedgerReader(path, copy, files=files), job_id


@contextmanager
def _as_damage(path: Path) -> Iterator[None]:
    """Turn errors of SQLite about the bundle into CorruptLedger; a full disk is StorageError."""
    try:
        yield
    except LedgerError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            raise StorageError(f"cannot write a temporary copy of {path}: {error}") from error
        raise CorruptLedger(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise CorruptLedger(f"{path}: {error}") from error


def _refuse_special(path: Path) -> int:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise NoLedger(f"there is no file {path}; name a bundle") from None
    except OSError as error:
        raise NotALedger(f"{path}: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise NotALedger(f"{path} is not a regular file; {_NAME_A_BUNDLE}")
    return found.st_size


def _connect(path: Path) -> sqlite3.Connection:
    # With `immutable`, SQLite ignores a journal file that is beside the bundle.
    uri = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        limit(connection, path, uri)
        connection.execute("PRAGMA query_only = ON")
        connection.set_authorizer(_authorize)
        try:
            version = check_header(connection)
        except NotALedger as error:
            problem = str(error).partition(";")[0]
            raise NotALedger(f"{path}: {problem}; {_NAME_A_BUNDLE}") from error
        if version == 0:
            raise NotALedger(f"{path} is empty; {_NAME_A_BUNDLE}")
        expected = schema_of_version(len(MIGRATIONS))
        found = schema_of(connection)
        if any(found.get(("table", name)) != expected["table", name] for name in _TABLES):
            raise NotALedger(f"{path} is not a bundle: its tables are not those of a ledger")
    except BaseException:
        connection.close()
        raise
    return connection


def _authorize(
    action: int, first: str | None, second: str | None, database: str | None, source: str | None
) -> int:
    # `source` names the trigger or view that causes the access.
    allowed = action in _ALLOWED and source is None
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _copy_events(
    bundle: sqlite3.Connection, copy: sqlite3.Connection, path: Path, size_max: int
) -> str:
    job_id, previous, expected, size = "", "", 1, 0
    for row in bundle.execute(_READ_EVENTS):
        where = f"{path}: event {expected}"
        if not has_event_types((0, *row)):
            raise CorruptLedger(f"{where}: a column has a value of another type")
        job_id = job_id or row[0]
        if row[0] != job_id:
            with ledger_named(path):
                bundling = quoted_command("bundle", "JOB", "FILE")
            raise NotALedger(
                f"{path} has more than one job: it is a ledger, not a bundle. Write a bundle of one "
                f"job with {bundling}"
            )
        check_job_id(job_id, where=str(path))
        if row[1] != expected:
            raise CorruptLedger(f"{where} is missing or out of order")
        if chain_hash(previous, row[:7]) != row[7]:
            raise CorruptLedger(f"{where} was changed: its hash does not match its content")
        _read_event(row, where)
        size += len(row[6])
        if size > size_max:
            raise CorruptLedger(f"{path}: its events are larger than the file")
        copy.execute(INSERT_EVENT, row)
        previous, expected = row[7], expected + 1
    if not job_id:
        raise NotALedger(f"{path} has no job; name a file that `orc bundle` wrote")
    return job_id


def _read_event(row: tuple[Any, ...], where: str) -> None:
    try:
        row_to_recorded((0, *row))
    except LedgerError as error:
        raise type(error)(f"{where}: {error}") from None


def _copy_blobs(
    bundle: sqlite3.Connection,
    copy: sqlite3.Connection,
    path: Path,
    job_id: str,
    size_max: int,
    files: FileStore,
) -> None:
    """Copy the blobs that the events name, and the images that the spec names."""
    named, removed = _named(copy)
    size = _copy_some(bundle, copy, path, named, removed, size_max, files)
    missing = named - _digests(copy)
    if missing:
        raise CorruptLedger(f"{path}: blob {min(missing)[:12]}... is missing")
    # The spec may itself be a blob, so its images are known only now. Not every `sha256` in a
    # spec is a blob.
    images = {digest for _, found in digests_in_specs(copy, job_id) for digest in found}
    _copy_some(bundle, copy, path, images - named, removed, size_max - size, files)


def _copy_some(
    bundle: sqlite3.Connection,
    copy: sqlite3.Connection,
    path: Path,
    wanted: set[str],
    removed: dict[str, int],
    size_max: int,
    files: FileStore,
) -> int:
    """Copy those of the wanted blobs that the bundle has; returns their total size in bytes."""
    taken: set[str] = set()
    size = rows = 0
    for digest, size_bytes, content in bundle.execute(_READ_BLOBS) if wanted else ():
        rows += 1
        if rows * 64 > size_max:
            # A cycle of b-tree pages would return rows without end.
            raise CorruptLedger(f"{path}: has more rows of blobs than a file of its size can hold")
        if digest not in wanted or digest in taken:
            continue
        where = f"{path}: blob {str(digest)[:12]}..."
        stored: Any = content
        if isinstance(content, int):
            if digest not in removed:
                raise CorruptLedger(f"{where}: its bytes were removed without a blob.removed event")
            stored = removed[digest]
        elif stands_for_file(content, size_bytes):
            # The ledger of a single job can be imported, too: its large files are beside it.
            size += size_bytes if isinstance(files, BundledFiles) else 0
            if size <= size_max:
                _check_file(files, digest, size_bytes, where)
        else:
            _check_bytes(digest, size_bytes, content, where)
            size += len(content)
        if size > size_max:
            raise CorruptLedger(f"{path}: its blobs are larger than the file")
        copy.execute("INSERT INTO blobs VALUES (?, ?, ?)", (digest, size_bytes, stored))
        taken.add(digest)
    return size


def _digests(copy: sqlite3.Connection) -> set[str]:
    return {row[0] for row in copy.execute("SELECT sha256 FROM blobs")}


def _check_bytes(digest: str, size_bytes: Any, content: Any, where: str) -> None:
    if not isinstance(content, str | bytes):
        raise CorruptLedger(f"{where}: its content is neither text nor bytes")
    plain = content.encode() if isinstance(content, str) else content
    if hashlib.sha256(plain).hexdigest() != digest or size_bytes != len(plain):
        raise CorruptLedger(f"{where}: was changed: its digest does not match its content")


def _check_file(files: FileStore, digest: str, size_bytes: int, where: str) -> None:
    """Read a large file in parts. It may have more bytes than it says, even more than the bundle."""
    left = size_bytes
    for part in files.chunks(digest):
        left -= len(part)
        if left < 0:
            break
    if left:
        raise CorruptLedger(f"{where}: its size is not the recorded one")


def _named(copy: sqlite3.Connection) -> tuple[set[str], dict[str, int]]:
    """The digests that events name, and the removed digests with the position of their event."""
    named: set[str] = set()
    removed: dict[str, int] = {}
    for position, kind, data in copy.execute("SELECT position, type, data FROM events"):
        named |= blobs_of(data.encode())
        if kind == "blob.removed":
            removed.update(dict.fromkeys(removals_of(data.encode()), position))
    return named, removed

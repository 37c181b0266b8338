"""SQLite connections to the ledger file, with settings that make each commit durable.

WAL with `synchronous=FULL`: a commit survives the death of the process and a power cut, at
the price of one sync. This process opens the file only through SQLite: closing any other
descriptor of the file would release SQLite's POSIX locks.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from orc.ledger import failpoints
from orc.ledger.errors import (
    CorruptLedger,
    LedgerBusy,
    LedgerError,
    NoLedger,
    NotALedger,
    StorageError,
)
from orc.ledger.schema import check_header
from orc.ledger.schema_check import check_file
from orc.ledger.wording import duration_text

_BUSY_TIMEOUT_S = 30
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_VERIFY = "run `orc verify` to see the damage, and restore the file from a backup"
_WRITER_PRAGMAS = (
    "synchronous = FULL",
    "foreign_keys = ON",
    "recursive_triggers = ON",
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "mmap_size = 0",
    "cache_size = -65536",
    "wal_autocheckpoint = 1000",
    "journal_size_limit = 67108864",
)


def connect_writer(path: Path) -> sqlite3.Connection:
    """A connection that may write. Creates the file with mode 0600 if it does not exist.

    The caller must hold the write lock. Raises StorageError, NotALedger, LedgerTooNew, CorruptLedger.
    """
    _refuse_folder(path)
    with storage_errors(path):
        _create_private(path)
        connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_TIMEOUT_S)
        try:
            version = check_header(connection)
            if version:
                check_file(connection, path, version)
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal":
                # Some network filesystems do not support WAL. This mode is as durable, but slower.
                connection.execute("PRAGMA journal_mode = TRUNCATE")
            for pragma in _WRITER_PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            if sys.platform == "darwin":
                connection.execute("PRAGMA fullfsync = 1")
                connection.execute("PRAGMA checkpoint_fullfsync = 1")
            if connection.execute("PRAGMA synchronous").fetchone()[0] != 2:
                raise StorageError(f"{path}: SQLite does not accept synchronous=FULL here")
        except BaseException:
            connection.close()
            raise
    return connection


def connect_reader(path: Path, *, checked: bool = True) -> sqlite3.Connection:
    """A read-only connection. It does not block a writer.

    Several threads may use it, but not at the same time. Raises NoLedger, NotALedger,
    LedgerTooNew, StorageError, and CorruptLedger if the schema is not orc's own. Without `checked`,
    the caller checks the schema.
    """
    _refuse_folder(path)
    if not path.exists():
        raise NoLedger(
            f"there is no ledger at {path}: run a spec first, or name a ledger with --db or ORC_DB"
        )
    with storage_errors(path):
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=_BUSY_TIMEOUT_S,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA query_only = ON")
            version = check_header(connection)
            if version == 0:
                raise NoLedger(f"{path} is empty: no job has been submitted to it")
            if checked:
                check_file(connection, path, version)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Translate errors of SQLite and the filesystem into this package's errors.

    IntegrityError passes through: the caller knows which rule was broken.
    """
    try:
        yield
    except LedgerError as error:
        if str(path) not in str(error) and type(error).__name__ in ("NotALedger", "LedgerTooNew"):
            raise type(error)(f"{path}: {error}") from error
        raise
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        raise _translate(error, path) from error
    except UnicodeDecodeError as error:
        # If the file is damaged, SQLite's own error message may not be valid UTF-8.
        raise CorruptLedger(f"{path}: stored text is damaged; {_VERIFY}") from error
    except OSError as error:
        advice = "free some space" if error.errno in _FULL else "check the disk"
        message = f"{path}: {error.strerror or error}; {advice}, then resume the job"
        raise StorageError(message) from error


def _translate(error: sqlite3.DatabaseError, path: Path) -> LedgerError:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return LedgerBusy(
            f"{path}: another program has kept the file busy for {duration_text(_BUSY_TIMEOUT_S)}; "
            "close that program, then resume the job"
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return CorruptLedger(f"{path}: {error}; {_VERIFY}")
    if name.startswith("SQLITE_INTERRUPT"):
        return CorruptLedger(f"{path}: its pages refer to each other without end; {_VERIFY}")
    if name.startswith("SQLITE_TOOBIG"):
        return CorruptLedger(f"{path}: it has a value that is larger than orc writes; {_VERIFY}")
    if str(error).startswith("Could not decode"):
        return CorruptLedger(f"{path}: stored text is damaged; {_VERIFY}")
    if name.startswith("SQLITE_FULL"):
        return StorageError(f"{path}: the disk is full; free some space, then resume the job")
    if name.startswith("SQLITE_READONLY"):
        return StorageError(f"{path}: {error}; allow writing to it, then resume the job")
    if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN")):
        return StorageError(f"{path}: {error}; check the disk, then resume the job")
    return StorageError(f"{path}: {error}")


def _refuse_folder(path: Path) -> None:
    # SQLite would report a folder as an I/O error.
    if path.is_dir():
        raise NotALedger(f"{path} is a folder; a ledger is a file, such as {path / 'runs.db'}")


def _create_private(path: Path) -> None:
    if path.exists():
        return
    failpoints.hit("ledger.before_create")
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    failpoints.hit("ledger.after_create")

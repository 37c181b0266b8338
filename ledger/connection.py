"""SQLite connections to the ledger file, with settings that make each commit durable.

Before SQLite sees a file, `files/exposure.py` decides whether another user could change it or a file
beside it. Such a ledger is not opened for writing. It is read as a file that does not change, or from
a private copy, so that SQLite neither obeys nor creates files beside it.

WAL with `synchronous=FULL`: a commit survives the death of the process and a power cut, at
the price of one sync. This process opens the file only through SQLite: closing any other
descriptor of the file would release SQLite's POSIX locks.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from orc.ledger.command_lines import quoted_command
from orc.ledger.errors import (
    CorruptLedger,
    ExposedFiles,
    LedgerBusy,
    LedgerError,
    NoLedger,
    NotALedger,
    StorageError,
    UnseenLog,
)
from orc.ledger.files.exposure import Examined, examine_ledger
from orc.ledger.files.in_use import is_written_here
from orc.ledger.files.way import real_path
from orc.ledger.schema import APPLICATION_ID, check_header
from orc.ledger.schema_check import check_file
from orc.ledger.wording import duration_text

if TYPE_CHECKING:
    from orc.ledger.files.private_folder import PrivateFolder

_BUSY_TIMEOUT_S = 30
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PATH_BYTES_MAX = 512 - len("-journal")
"""SQLite is usually built with this limit; only a path that was not opened is compared with it."""
_SHORTER = "name a ledger with a shorter path, with --db or ORC_DB"
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

    The caller must hold the write lock. Raises StorageError, NotALedger, LedgerTooNew, CorruptLedger,
    and ExposedFiles if another user could change the ledger.
    """
    with storage_errors(path):
        refuse_exposed(path)
        _create_private(path)
        examined = refuse_exposed(path)
        connection = sqlite3.connect(examined.path, isolation_level=None, timeout=_BUSY_TIMEOUT_S)
        try:
            version = check_header(connection)
            _refuse_replaced(examined)
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


def refuse_exposed(path: Path) -> Examined:
    """The ledger, if no other user could change it. Raises ExposedFiles, NotALedger, OSError."""
    _refuse_special(path)
    examined = examine_ledger(path)
    examined.refuse(f"orc does not write to the ledger {path}")
    return examined


class Source(NamedTuple):
    """The file by which a ledger is read; `copy` is the private folder that contains it, if any.

    With `is_fixed`, SQLite has to read the file as one that does not change, without the files
    beside it.
    """

    path: Path
    is_fixed: bool = False
    copy: PrivateFolder | None = None

    @property
    def uri(self) -> str:
        """The URI for SQLite, read-only."""
        fixed = "&immutable=1" if self.is_fixed else ""
        return f"file:{quote(str(self.path))}?mode=ro{fixed}"

    @property
    def is_snapshot(self) -> bool:
        """Whether later commits to the ledger are not seen."""
        return self.is_fixed or self.copy is not None

    def close(self) -> None:
        """Remove the copy."""
        if self.copy is not None:
            self.copy.cleanup()


class Reader(sqlite3.Connection):
    """A connection that reads a ledger from a source, and closes the source, too."""

    source: Source | None = None

    def close(self) -> None:
        """Close the connection and its source."""
        super().close()
        if self.source is not None:
            self.source.close()


def connect_reader(path: Path, *, checked: bool = True) -> Reader:
    """A read-only connection. It does not block a writer.

    Nothing is created or changed beside a ledger that another user could change. Several threads
    may use the connection, but not at the same time. Raises NoLedger, NotALedger, LedgerTooNew,
    StorageError, ExposedFiles for a ledger of others with an interrupted transaction, and
    CorruptLedger if the schema is not orc's own. Without `checked`, the caller checks the schema.
    """
    _refuse_special(path)
    if not path.exists():
        raise NoLedger(no_ledger(path))
    with storage_errors(path):
        source = source_to_read(path)
        connection = sqlite3.connect(
            source.uri,
            uri=True,
            isolation_level=None,
            timeout=_BUSY_TIMEOUT_S,
            check_same_thread=False,
            factory=Reader,
        )
        try:
            connection.source = source
            connection.execute("PRAGMA query_only = ON")
            version = check_header(connection)
            if version == 0:
                raise NoLedger(f"{path} is empty: no job has been submitted to it")
            if checked:
                check_file(connection, path, version, source.uri)
        except BaseException:
            connection.close()
            raise
    return connection


def has_ledger_header(path: Path) -> bool:
    """Whether the file at the path is a ledger, of any version. Raises LedgerError."""
    # The header may still be in the write-ahead log, so that SQLite reads it.
    with storage_errors(path):
        source = source_to_read(path)
        connection = sqlite3.connect(source.uri, uri=True, timeout=1, factory=Reader)
        connection.source = source
        with closing(connection):
            found = connection.execute("PRAGMA application_id").fetchone()[0]
    return bool(found == APPLICATION_ID)


def source_to_read(path: Path) -> Source:
    """The file by which SQLite may read the ledger. The caller closes it.

    Raises ExposedFiles, StorageError, OSError.
    """
    examined = examine_ledger(path)
    real = examined.path
    if examined.identity is not None and is_written_here(examined.identity):
        # This process has the file open for writing. To close another descriptor of it would drop
        # SQLite's locks.
        return Source(real)
    if examined.is_own and os.access(real.parent, os.W_OK | os.X_OK):
        return Source(real)
    # Imported here, since most ledgers are one's own.
    from orc.ledger.files.snapshot import copy_database, has_content

    _refuse_unreadable(examined)
    if not has_content(Path(f"{real}-wal")):
        _warn_of_unseen_log(examined)
        return Source(real, is_fixed=True)
    copy = copy_database(real)
    return Source(copy.path / real.name, copy=copy)


def _warn_of_unseen_log(examined: Examined) -> None:
    """Warn if the file has other names: its log is beside the one by which it is written."""
    for fault in examined.faults:
        if fault.cause == "names" and fault.path == examined.path:
            warnings.warn(
                f"{fault.path} {fault.what}: events that are only in the log of another name (its "
                "-wal file) are not seen. Read the ledger by the name by which orc writes it, or "
                f"{fault.remedy}",
                UnseenLog,
                stacklevel=2,
            )


def _refuse_unreadable(examined: Examined) -> None:
    """Raise ExposedFiles if the database and its log alone may show no committed state."""
    from orc.ledger.files.snapshot import is_hot

    path = examined.path
    needed = {path, *(Path(f"{path}{suffix}") for suffix in ("-wal", "-journal"))}
    for fault in examined.faults:
        if fault.cause == "kind" and fault.path in needed:
            raise ExposedFiles(
                f"{path} cannot be read: {fault.path} {fault.what}; {fault.remedy}",
                is_trustable=False,
            )
    if is_hot(path):
        raise ExposedFiles(_is_interrupted(path), is_trustable=False)


def _is_interrupted(path: Path) -> str:
    journal = Path(f"{path}-journal")
    if os.lstat(journal).st_uid == os.lstat(path).st_uid:
        return (
            f"{path} cannot be read: {journal} has an interrupted transaction, which orc does not play "
            "back for other users. The ledger's owner can do it with "
            f"{quoted_command('rebuild')}"
        )
    return (
        f"{path} cannot be read: {journal} has a transaction, and does not belong to the ledger's "
        f"owner. Remove it, or copy {path} without it into a folder of your own"
    )


def _refuse_replaced(examined: Examined) -> None:
    found = os.stat(examined.path)
    if (found.st_dev, found.st_ino) != examined.identity:
        raise StorageError(f"{examined.path} was replaced while it was being opened; try again")


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
        raise CorruptLedger(f"{path}: stored text is damaged; {_verify_first()}") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise StorageError(f"{path}: {error.strerror}; {_SHORTER}") from error
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
        return CorruptLedger(f"{path}: {error}; {_verify_first()}")
    if name.startswith("SQLITE_INTERRUPT"):
        return CorruptLedger(
            f"{path}: its pages refer to each other without end; {_verify_first()}"
        )
    if name.startswith("SQLITE_TOOBIG"):
        return CorruptLedger(
            f"{path}: it has a value that is larger than orc writes; {_verify_first()}"
        )
    if str(error).startswith("Could not decode"):
        return CorruptLedger(f"{path}: stored text is damaged; {_verify_first()}")
    if name.startswith("SQLITE_FULL"):
        return StorageError(f"{path}: the disk is full; free some space, then resume the job")
    if name.startswith("SQLITE_READONLY"):
        return StorageError(f"{path}: {error}; allow writing to it, then resume the job")
    if name.startswith("SQLITE_CANTOPEN") and len(os.fsencode(path)) > _PATH_BYTES_MAX:
        return StorageError(f"{path}: this path is too long for SQLite; {_SHORTER}")
    if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN")):
        return StorageError(f"{path}: {error}; check the disk, then resume the job")
    return StorageError(f"{path}: {error}")


def _refuse_special(path: Path) -> None:
    # SQLite would report a folder as an I/O error, and wait for the writer of a pipe.
    if path.is_dir():
        raise NotALedger(f"{path} is a folder; a ledger is a file, such as {path / 'runs.db'}")
    if path.exists() and not path.is_file():
        raise NotALedger(f"{path} is a pipe, a socket or a device; a ledger is a regular file")


def no_ledger(path: Path) -> str:
    """The message that there is no ledger at the path."""
    if path.is_symlink():
        return (
            f"there is no ledger at {path}: it is a link to {real_path(path)}, which does not "
            "exist; remove the link, or name a ledger with --db or ORC_DB"
        )
    return f"there is no ledger at {path}: run a spec first, or name a ledger with --db or ORC_DB"


def _create_private(path: Path) -> None:
    if path.exists():
        return
    # Imported here, since readers of a ledger, which must start fast, pass no failpoint.
    from orc.ledger import failpoints

    failpoints.hit("ledger.before_create")
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    failpoints.hit("ledger.after_create")


def _verify_first() -> str:
    return f"run {quoted_command('verify')} to see the damage, and restore the file from a backup"

"""Copies a whole ledger while its jobs continue."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from msgspec import Struct

from orc.ledger.blob_rows import STANDS_FOR_FILE, has_parts_table
from orc.ledger.connection import connect_reader, storage_errors
from orc.ledger.errors import CorruptLedger, FileIsThere
from orc.ledger.files.exposure import is_own_folder
from orc.ledger.files.file_store import SUFFIX, FileStore
from orc.ledger.files.new_file import refuse_existing, write_new_file
from orc.ledger.files.snapshot import refuse_old_log
from orc.ledger.files.way import real_path
from orc.ledger.integrity import check_structure
from orc.ledger.wording import count_text, number_text


class Backup(Struct, frozen=True):
    """The contents of a backup; `size_bytes` includes the large files beside it."""

    jobs: int
    events: int
    size_bytes: int


def write_backup(database: Path, target: Path, *, force: bool = False) -> Backup:
    """Copy one consistent state of the ledger to a new file, and check it before it is renamed.

    The large files that it names are copied before it has its name, into the folder beside it; what
    an earlier backup left there stays. Raises FileIsThere, CorruptLedger if the copy is damaged, and
    what `connect_reader`, `refuse_old_log` and `write_new_file` raise.
    """
    with closing(connect_reader(database)) as connection:
        if target.exists() and target.samefile(database):
            raise FileIsThere(f"{target} is the ledger itself; name another file")
        what = f"backup of {database}"
        refuse_existing(target, force=force, what=what)
        refuse_old_log(target)
        _refuse_foreign_folder(Path(f"{target}{SUFFIX}"))
        found: list[Backup] = []

        def make(temporary: Path) -> None:
            with storage_errors(database):
                before = _count(connection)[1]
                # VACUUM INTO uses one read transaction and does not block writers. It needs
                # query_only off; the connection is still read-only (mode=ro).
                connection.execute("PRAGMA query_only = OFF")
                connection.execute("VACUUM INTO ?", (str(temporary),))
            found.append(_check(temporary, before, real_path(database), target))

        write_new_file(target, make, force=force, what=what)
    return found[0]


def _refuse_foreign_folder(folder: Path) -> None:
    """Raise FileIsThere if large files would go where another user can change them."""
    if os.path.lexists(folder) and not is_own_folder(folder):
        raise FileIsThere(
            f"{folder} is not a folder that only you can change, and large files are copied there; "
            "name another file"
        )


def _check(path: Path, events_min: int, database: Path, target: Path) -> Backup:
    """Check the copy at `path`, and copy its large files to the folder beside `target`."""
    with storage_errors(path), closing(connect_reader(path)) as copy:
        problems = list(check_structure(copy))
        if problems:
            raise CorruptLedger(
                f"the ledger is damaged, and so is its copy: {problems[0]}; no backup was written"
            )
        jobs, events = _count(copy)
        if events < events_min:
            counted = f"{number_text(events)} of at least {count_text(events_min, 'event')}"
            raise CorruptLedger(f"the copy has {counted}; no backup was written")
        size_bytes = path.stat().st_size
        if not has_parts_table(copy):
            size_bytes += _copy_files(copy, FileStore(database), FileStore(target, is_shared=True))
        return Backup(jobs, events, size_bytes)


def _copy_files(copy: sqlite3.Connection, source: FileStore, target: FileStore) -> int:
    """Copy the files that the copied ledger names, and that are not there yet; their total size."""
    total = 0
    rows = copy.execute(
        f"SELECT sha256, size_bytes FROM blobs WHERE {STANDS_FOR_FILE} ORDER BY sha256"
    )
    for digest, size_bytes in rows:
        if target.size(digest) != size_bytes or not _is_intact(target, digest):
            target.add(source.chunks(digest))
        total += size_bytes
    return total


def _is_intact(files: FileStore, digest: str) -> bool:
    try:
        for _ in files.chunks(digest):
            pass
    except CorruptLedger:
        return False
    return True


def _count(connection: sqlite3.Connection) -> tuple[int, int]:
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE version = 1), count(*) FROM events"
    ).fetchone()
    return int(row[0]), int(row[1])

"""Copies a whole ledger while its jobs continue."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from orc.ledger.connection import connect_reader, storage_errors
from orc.ledger.errors import CorruptLedger, FileIsThere
from orc.ledger.files.new_file import refuse_existing, write_new_file
from orc.ledger.integrity import check_structure
from orc.ledger.wording import count_text, number_text


@dataclass(frozen=True, slots=True)
class Backup:
    """The contents of a backup."""

    jobs: int
    events: int
    size_bytes: int


def write_backup(database: Path, target: Path, *, force: bool = False) -> Backup:
    """Copy one consistent state of the ledger to a new file, and check it before it is renamed.

    Raises FileIsThere, CorruptLedger if the copy is damaged, and what `connect_reader` and
    `write_new_file` raise.
    """
    with closing(connect_reader(database)) as connection:
        if target.exists() and target.samefile(database):
            raise FileIsThere(f"{target} is the ledger itself; name another file")
        what = f"backup of {database}"
        refuse_existing(target, force=force, what=what)
        found: list[Backup] = []

        def make(temporary: Path) -> None:
            with storage_errors(database):
                before = _count(connection)[1]
                # VACUUM INTO uses one read transaction and does not block writers. It needs
                # query_only off; the connection is still read-only (mode=ro).
                connection.execute("PRAGMA query_only = OFF")
                connection.execute("VACUUM INTO ?", (str(temporary),))
            found.append(_check(temporary, before))

        write_new_file(target, make, force=force, what=what)
    return found[0]


def _check(path: Path, events_min: int) -> Backup:
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
        return Backup(jobs, events, path.stat().st_size)


def _count(connection: sqlite3.Connection) -> tuple[int, int]:
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE version = 1), count(*) FROM events"
    ).fetchone()
    return int(row[0]), int(row[1])

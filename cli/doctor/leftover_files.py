"""Finds files that killed commands left: beside the ledger, in its folders, and in TMPDIR.

A command removes what an earlier one left in the place to which it writes. These are the others.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from msgspec import Struct

from orc.cli.jobs.own_folder import folder_of
from orc.ledger import LedgerReader, has_owner
from orc.ledger.command_lines import quoted_command
from orc.ledger.files.exposure import examine_ledger
from orc.ledger.files.lock_paths import locks_dir
from orc.ledger.files.private_folder import KINDS, temporary_place
from orc.ledger.files.run_places import noted_outputs
from orc.ledger.files.temporary import TEMPORARY_NAME, find_leftovers, is_abandoned
from orc.ledger.files.unfinished import MARK
from orc.ledger.removal import has_bytes, is_removed

_ENTRIES_MAX = 100_000
"""How many entries of folders are looked at: an output folder may be as large as a disk."""


class LeftoverFile(Struct, frozen=True):
    """A temporary or unfinished file or folder of a killed command, and what removes it."""

    path: Path
    what: str
    remedy: str


def find_leftover_files(database: Path) -> list[LeftoverFile]:
    """What killed commands left, as far as the ledger and its folder tell. Raises LedgerError."""
    found = [*_beside(database.parent), *_beside(locks_dir(database))]
    with LedgerReader.open(database) as ledger:
        found += _in_store(ledger)
        found += _in_run_folders(ledger)
        found += _in_output_folders(ledger.path)
    return found


def find_private_leftovers() -> list[LeftoverFile]:
    """The private folders that killed processes left in TMPDIR; they concern no ledger here."""
    found = []
    # Without a place for temporary files, there are none.
    with suppress(OSError):
        place = temporary_place()
        for kind, (use, remover) in KINDS.items():
            for left in find_leftovers(place, [kind]):
                if left.is_dead:
                    what = f"a killed process that {use} left it"
                    remedy = f"{remover}, or {_removal(left.path)}"
                    found.append(LeftoverFile(left.path, what, remedy))
    return found


def _beside(folder: Path) -> Iterator[LeftoverFile]:
    for left in find_leftovers(folder):
        match = TEMPORARY_NAME.fullmatch(left.path.name)
        if left.is_dead and match is not None:
            what = f"a killed command that wrote {match['name']} left it"
            yield LeftoverFile(
                left.path, what, f"give that command again, or {_removal(left.path)}"
            )
    try:
        entries = sorted(islice(os.scandir(folder), _ENTRIES_MAX), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False) and is_abandoned(Path(entry.path) / MARK):
            path = Path(entry.path)
            what = "a killed command left it unfinished"
            yield LeftoverFile(path, what, f"give that command again, or {_removal(path)}")


def _in_store(ledger: LedgerReader) -> Iterator[LeftoverFile]:
    """Files of the store that are no part of the ledger. A job that runs may just be storing one."""
    for left in ledger.files.leftovers():
        if left.is_dead:
            what = "a killed process that stored a large file left it"
            yield LeftoverFile(
                left.path, what, f"the next large file removes it, or {_removal(left.path)}"
            )
    is_idle = not _any_owner(ledger)
    for digest in islice(ledger.files.digests(), _ENTRIES_MAX):
        path = ledger.files.path / digest[:2] / digest
        if is_removed(ledger.connection, digest):
            what = "a killed removal left it: its bytes were to be removed"
            yield LeftoverFile(path, what, f"give that command again, or {_removal(path)}")
        elif is_idle and not has_bytes(ledger.connection, digest):
            what = "no event names it: a killed process had stored it"
            yield LeftoverFile(path, what, _removal(path))


def _any_owner(ledger: LedgerReader) -> bool:
    """Whether a process runs any job of the ledger."""
    rows = ledger.connection.execute("SELECT job_id FROM events WHERE version = 1").fetchall()
    return any(has_owner(ledger.path, job_id) for (job_id,) in rows)


def _in_run_folders(ledger: LedgerReader) -> Iterator[LeftoverFile]:
    rows = ledger.connection.execute("SELECT job_id FROM events WHERE version = 1").fetchall()
    for (job_id,) in rows:
        paths = list(_temporary_files(folder_of(ledger, job_id, use="write")))
        if paths and not has_owner(ledger.path, job_id):
            for path in paths:
                what = f"a killed process left it in the run folder of {job_id}"
                yield LeftoverFile(path, what, f"{quoted_command('export', job_id)} removes it")


def _in_output_folders(database: Path) -> Iterator[LeftoverFile]:
    """What is left in output folders, as far as a process of this very ledger has written to them.

    What a ledger records is not looked into: its author may have named any folder.
    """
    seen: set[Path] = set()
    if not examine_ledger(database).is_own:
        return
    for job_id, target in noted_outputs(database):
        if target in seen:
            continue
        seen.add(target)
        for path in _temporary_files(target):
            what = f"a killed process left it when it copied the files of {job_id}"
            yield LeftoverFile(
                path, what, f"{quoted_command('resume', job_id)} copies them again and removes it"
            )


def _temporary_files(folder: Path) -> Iterator[Path]:
    """The abandoned temporary files below the folder."""
    for path in islice(_walk(folder), _ENTRIES_MAX):
        if TEMPORARY_NAME.fullmatch(path.name) and is_abandoned(path):
            yield path


def _walk(folder: Path) -> Iterator[Path]:
    for inside, _, names in os.walk(folder):
        for name in names:
            yield Path(inside) / name


def _removal(path: Path) -> str:
    return f"remove it: rm -r {shlex.quote(str(path))}"

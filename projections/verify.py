"""Verifies a ledger: each job's chain, blobs and tables, and the run folder against the events.

The checks themselves are in `ledger/integrity.py`, `tables/verify.py` and `folder/verify.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

from msgspec import Struct, field

from orc.ledger import LedgerError, LedgerReader
from orc.ledger.command_lines import quoted_command
from orc.ledger.connection import storage_errors
from orc.ledger.integrity import (
    IntactStream,
    check_blobs,
    check_other_blobs,
    check_structure,
    find_head,
    walk_chain,
)
from orc.ledger.schema_check import has_own_tables, limit, schema_problems
from orc.ledger.stored import UNEXPECTED
from orc.projections.folder.run_folder import RunFolder
from orc.projections.folder.verify import check_folder, heads_in
from orc.projections.money.prices import NO_PRICES, PriceTable
from orc.projections.tables.own_schema import own_tables_problem
from orc.projections.tables.verify import TableChecker, has_current_tables, rows_of_no_job


class Verdict(Struct, frozen=True):
    """The result of verifying one job: the number of events, the head, and every problem.

    `known_by` lists the sources of known heads (`--head`, `manifest.json`, `events.jsonl`). Only a
    known head shows that events were cut off the end of the stream. `notes` are not problems.
    """

    job_id: str
    events: int
    head: str
    problems: tuple[str, ...]
    known_by: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class _Read(Struct, frozen=True):
    """What one pass over a job's events found: problems of blobs, and rows that differ."""

    head: str
    count: int
    blobs: list[str]
    rows: list[str]


class Verifier(Struct):
    """Verifies jobs of one ledger, and reads a blob that several jobs share only once.

    Without `tables` the read model is not checked. `is_live` says whether a process runs a job: the
    folder of a running job changes and is not compared. Use it as a context manager.
    """

    ledger: LedgerReader
    prices: PriceTable = NO_PRICES
    tables: bool = True
    is_live: Callable[[str], bool] = lambda job_id: False
    _good: set[str] = field(default_factory=set)
    _checker: TableChecker | None = None
    _shape: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._checker is not None:
            self._checker.close()

    def check_job(
        self, job_id: str, *, folder: Path | None = None, heads: Iterable[str] = ()
    ) -> Verdict:
        """Check the job's chain, its blobs, its rows, and its run folder if that exists.

        `heads` are hashes, or prefixes of hashes, of events that the job is known to have had.
        """
        problems: list[str] = []
        notes: list[str] = []
        known_by: list[str] = []
        head, count = "", 0
        # The folder is read first: a folder that is read before the ledger is never ahead of it.
        found = heads_in(folder) if folder is not None and folder.is_dir() else []
        applied = RunFolder(self.ledger, prices=self.prices, keeps_lines=False) if found else None
        try:
            with storage_errors(self.ledger.path):
                read = self._read_once(job_id, applied)
                if read is None:
                    for link in walk_chain(self.ledger.connection, job_id):
                        head, count = link.hash, count + 1
                        problems += [link.problem] if link.problem else []
                    problems += check_blobs(
                        self.ledger.connection, job_id, checked=self._good, files=self.ledger.files
                    )
                else:
                    head, count = read.head, read.count
                    problems += read.blobs
                for wanted in heads:
                    known_by.append("--head")
                    if not find_head(self.ledger.connection, job_id, wanted):
                        problems.append(_lost_head(wanted, count))
            known_by += [known.source for known in found]
            for known in found:
                problems += known.problems(self.ledger, job_id, count)
            if not problems:
                problems += self._check_derived(job_id, folder, count, notes, read, applied)
        except LedgerError as error:
            problems.append(str(error))
        return Verdict(job_id, count, head, tuple(problems), tuple(known_by), tuple(notes))

    def check_schema(self) -> list[str]:
        """How the tables, indexes and triggers of the file differ from orc's. Call it first."""
        source = getattr(self.ledger.connection, "source", None)
        limit(self.ledger.connection, self.ledger.path, "" if source is None else source.uri)
        try:
            with storage_errors(self.ledger.path):
                return list(schema_problems(self.ledger.connection))
        except LedgerError as error:
            return [str(error)]

    def has_own_tables(self) -> bool:
        """Whether the tables are orc's own, so that they can be read; see `check_schema`."""
        return has_own_tables(self.ledger.connection)

    def check_file(self) -> tuple[str, ...]:
        """Problems of the file itself, and of blobs that no job refers to. Call it after `check_job`."""
        problems = list(check_structure(self.ledger.connection))
        try:
            with storage_errors(self.ledger.path):
                problems += check_other_blobs(
                    self.ledger.connection, checked=self._good, files=self.ledger.files
                )
                is_ours = self.tables and not self._tables_problem()
                if is_ours and has_current_tables(self.ledger.connection):
                    problems += rows_of_no_job(self.ledger.connection)
        except LedgerError as error:
            problems.append(str(error))
        return tuple(problems)

    def _tables_problem(self) -> str:
        """How the tables themselves differ from orc's, whatever their rows are."""
        if self._shape is None:
            problem = own_tables_problem(self.ledger.connection)
            self._shape = (
                f"{problem}; {quoted_command('rebuild')} derives it again" if problem else ""
            )
        return self._shape

    def _read_once(self, job_id: str, applied: RunFolder | None) -> _Read | None:
        """What one pass over the events of the job finds; None if they are not all intact.

        The events are applied to the folder, too.
        """
        try:
            if not self._compares_tables():
                return self._read(self.ledger.connection, job_id, applied)
            with self._table_checker().snapshot() as connection:
                return self._read(connection, job_id, applied, self._table_checker())
        except (LedgerError, sqlite3.Error, *UNEXPECTED):
            return None

    def _read(
        self,
        connection: sqlite3.Connection,
        job_id: str,
        applied: RunFolder | None,
        checker: TableChecker | None = None,
    ) -> _Read:
        stream = IntactStream(connection, job_id)
        stored = iter(stream)
        events = (found for found, _ in stored) if applied is None else applied.applying(stored)
        rows = [] if checker is None else list(checker.differences(connection, job_id, events))
        for _ in events:
            # Every event must be readable, even if the tables are not checked.
            pass
        blobs = stream.named.problems(connection, checked=self._good, files=self.ledger.files)
        return _Read(stream.head, stream.count, list(blobs), rows)

    def _compares_tables(self) -> bool:
        is_current = self.tables and has_current_tables(self.ledger.connection)
        return is_current and not self._tables_problem()

    def _table_checker(self) -> TableChecker:
        if self._checker is None:
            self._checker = TableChecker(self.ledger.path)
        return self._checker

    def _check_derived(
        self,
        job_id: str,
        folder: Path | None,
        count: int,
        notes: list[str],
        read: _Read | None,
        applied: RunFolder | None,
    ) -> Iterator[str]:
        if read is None:
            for _ in self.ledger.read_stream(job_id):
                pass
        if self.tables and not has_current_tables(self.ledger.connection):
            notes.append(
                "another version of orc made the tables: they were not compared; "
                f"{quoted_command('rebuild')} derives them again"
            )
        elif self.tables and self._tables_problem():
            yield self._tables_problem()
        elif self.tables:
            yield from self._table_checker().problems(job_id) if read is None else read.rows
        if folder is None or not folder.is_dir():
            return
        if self.is_live(job_id):
            notes.append("a process runs the job: its folder was not compared")
            return
        yield from check_folder(
            self.ledger,
            job_id,
            folder,
            head_version=count,
            prices=self.prices,
            notes=notes,
            applied=None if read is None else applied,
        )


def verify_job(
    ledger: LedgerReader, job_id: str, *, folder: Path | None, prices: PriceTable = NO_PRICES
) -> Verdict:
    """Verify one job as `Verifier.check_job` does.

    Events that were cut off the end show only against a head that is known from elsewhere, such as
    the manifest in the run folder. Costs are not in the ledger: the costs of a manifest that was
    made with other prices are not checked.
    """
    with Verifier(ledger, prices) as verifier:
        return verifier.check_job(job_id, folder=folder)


def missing_job(job_id: str, heads: Iterable[str]) -> Verdict:
    """The verdict on a job that has known heads, but no events in the ledger."""
    known = ", ".join(f"{head[:12]}..." for head in heads)
    problem = f"the whole job is missing: its head was {known}"
    return Verdict(job_id, 0, "", (problem,), ("--head",))


def _lost_head(known: str, count: int) -> str:
    return (
        f"no event has the known head {known[:12]}...: the ledger ends at event {count}; later "
        "events were cut off, or an event was changed"
    )

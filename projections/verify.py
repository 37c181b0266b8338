"""Does the ledger still say what it said? Chain, blobs, tables, and the published files against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orc.ledger import LedgerError, LedgerReader
from orc.ledger.connection import storage_errors
from orc.ledger.integrity import (
    check_blobs,
    check_other_blobs,
    check_structure,
    find_head,
    walk_chain,
)
from orc.projections.folder.verify import check_folder, heads_in
from orc.projections.money.prices import NO_PRICES, PriceTable
from orc.projections.tables.verify import check_tables, has_today_tables


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying one job found: how far its chain goes, and every difference.

    `known_by` says where a head is known from, against which a cut-off tail would show;
    empty where there is none. `notes` are no differences.
    """

    job_id: str
    events: int
    head: str
    problems: tuple[str, ...]
    known_by: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Verifier:
    """Verifies jobs of one ledger; blobs that they share are read once.

    Without `tables` the read model is not looked at. `is_live` jobs are being run: their
    folders change under whoever reads them.
    """

    ledger: LedgerReader
    prices: PriceTable = NO_PRICES
    tables: bool = True
    is_live: Callable[[str], bool] = lambda job_id: False
    _good: set[str] = field(default_factory=set)

    def check_job(
        self, job_id: str, *, folder: Path | None = None, heads: Iterable[str] = ()
    ) -> Verdict:
        """Walk the job's chain, check each blob that it names, its rows, and its folder if it is there.

        `heads` are hashes, or beginnings of them, that the job is known to have had.
        """
        problems: list[str] = []
        notes: list[str] = []
        known_by: list[str] = []
        head, count = "", 0
        # Before the events are read: a folder is never ahead of a ledger that is read after it.
        found = heads_in(folder) if folder is not None and folder.is_dir() else []
        try:
            with storage_errors(self.ledger.path):
                for link in walk_chain(self.ledger.connection, job_id):
                    head, count = link.hash, count + 1
                    problems += [link.problem] if link.problem else []
                problems += check_blobs(self.ledger.connection, job_id, checked=self._good)
                for wanted in heads:
                    known_by.append("--head")
                    if not find_head(self.ledger.connection, job_id, wanted):
                        problems.append(_lost_head(wanted, count))
            known_by += [known.source for known in found]
            for known in found:
                problems += known.problems(self.ledger, job_id, count)
            if not problems:
                problems += self._check_derived(job_id, folder, count, notes)
        except LedgerError as error:
            problems.append(str(error))
        return Verdict(job_id, count, head, tuple(problems), tuple(known_by), tuple(notes))

    def check_file(self) -> tuple[str, ...]:
        """What is wrong with the file as such, and with blobs that no job led to; after the jobs."""
        problems = list(check_structure(self.ledger.connection))
        try:
            with storage_errors(self.ledger.path):
                problems += check_other_blobs(self.ledger.connection, checked=self._good)
        except LedgerError as error:
            problems.append(str(error))
        return tuple(problems)

    def _check_derived(
        self, job_id: str, folder: Path | None, count: int, notes: list[str]
    ) -> Iterator[str]:
        # The events must at least be readable, whatever else is asked for.
        for _ in self.ledger.read_stream(job_id):
            pass
        if self.tables and not has_today_tables(self.ledger.connection):
            notes.append(
                "the tables are another version's: not compared; `orc rebuild` derives them"
            )
        elif self.tables:
            yield from check_tables(self.ledger.path, job_id, prices=self.prices)
        if folder is None or not folder.is_dir():
            return
        if self.is_live(job_id):
            notes.append("the job is being run: its folder is not compared")
            return
        yield from check_folder(
            self.ledger, job_id, folder, head_version=count, prices=self.prices, notes=notes
        )


def verify_job(
    ledger: LedgerReader, job_id: str, *, folder: Path | None, prices: PriceTable = NO_PRICES
) -> Verdict:
    """One job, with all that `Verifier.check_job` looks at.

    A cut-off tail shows only against a head that is known from elsewhere: the
    manifest in the folder has one. Costs are no part of the ledger: those of a
    manifest that was made with other prices are not checked.
    """
    return Verifier(ledger, prices).check_job(job_id, folder=folder)


def missing_job(job_id: str, heads: Iterable[str]) -> Verdict:
    """The verdict on a job that a head is known of, and that the ledger has no event of."""
    known = ", ".join(f"{head[:12]}..." for head in heads)
    problem = f"the whole job is missing: its head was {known}"
    return Verdict(job_id, 0, "", (problem,), ("--head",))


def _lost_head(known: str, count: int) -> str:
    return (
        f"no event has the known head {known[:12]}...: the ledger ends at {count}, and what came "
        "after it was cut off, or an event was changed"
    )

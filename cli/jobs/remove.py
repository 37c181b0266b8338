"""`orc prune` and `orc redact`: checks a plan of removal, and applies it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.secrets import mask_of_jobs
from orc.cli.jobs.folders import folder_of
from orc.ledger import Ledger, OwnerLock, has_owner
from orc.ledger.digest import clean_text
from orc.ledger.removal import compact, has_bytes, is_worth_compacting, remove_blobs, spec_blobs
from orc.projections import Publisher
from orc.projections.folder.removed_files import delivered_files, files_with, remove_files
from orc.projections.money.prices import PriceTable
from orc.projections.removal_plan import IS_RUN, Removal, list_jobs
from orc.projections.search.file import remove_index
from orc.scheduler.clock import Clock


@dataclass(frozen=True, slots=True)
class Removed:
    """The result of a removal: the number of removed blobs, and the removed files.

    `files_left` are files that hold the same bytes and were not removed. Without `is_compact`,
    unused pages of the ledger file may still hold removed bytes.
    """

    blobs: int
    files: tuple[Path, ...]
    files_left: tuple[Path, ...]
    is_compact: bool


def apply_removal(
    ledger: Ledger,
    plan: Removal,
    *,
    reason: str | None,
    files: bool,
    prices: PriceTable,
) -> Removed:
    """Remove the blobs in the plan, publish the run folders again, and compact the ledger file.

    With `files`, files in run folders that hold the bytes are removed too. After a crash, applying
    the plan again completes it. Raises LedgerError, OSError.
    """
    job_ids = [job.job_id for job in plan.jobs]
    ledger.widen_mask(mask_of_jobs(ledger, job_ids, os.environ))
    there = {digest for digest in plan.digests if has_bytes(ledger.connection, digest)}
    specs = {digest for job in plan.jobs for digest in spec_blobs(ledger.connection, job.job_id)}
    left: list[Path] = []
    for job in plan.jobs if files else ():
        left += delivered_files(ledger, job.job_id, job.digests)
    removed = remove_blobs(
        ledger,
        {job.job_id: job.digests & there for job in plan.jobs if job.digests & there},
        cause=plan.cause,
        reason=None if reason is None else clean_text(reason),
        at=Clock().recorded_at(),
        derive_tables=not there.isdisjoint(specs),
    )
    remove_index(ledger.path)
    gone: list[Path] = []
    for job in plan.jobs:
        folder = folder_of(ledger, job.job_id)
        if not folder.is_dir():
            continue
        if files:
            gone += remove_files(ledger, job.job_id, job.digests, folder, prices)
        Publisher(ledger, job.job_id, folder, prices=prices).publish()
        left += files_with(folder, job.digests) if files else ()
    is_compact = True
    if plan.cause == "redact" or is_worth_compacting(ledger.connection):
        is_idle = not any(has_owner(ledger.path, job_id) for job_id, _, _ in list_jobs(ledger))
        is_compact = is_idle and compact(ledger)
    return Removed(removed, tuple(gone), tuple(left), is_compact)


def refuse_left_out(ledger: Ledger, plan: Removal, named: Sequence[str]) -> None:
    """Raise OwnedElsewhere or UsageProblem if the plan leaves out a job that it must contain.

    A redaction must contain every job that has the bytes. `named` are jobs that --job names.
    """
    for job_id, why in plan.left_out:
        if why == IS_RUN and (plan.cause == "redact" or job_id in named):
            lock = OwnerLock(ledger.path, job_id)
            lock.acquire(wait_s=0)
            lock.release()
        if plan.cause == "redact":
            raise UsageProblem(
                f"{job_id} has these bytes and {why}; it could not be resumed without them. "
                f"--job {job_id} removes them all the same"
            )


def refuse_unnamed(plan: Removal, digests: Iterable[str]) -> None:
    """Raise UsageProblem for a blob of no job: no stream could record its removal."""
    for digest in digests:
        if digest not in plan.digests:
            raise UsageProblem(
                f"no job has the blob {digest[:12]}...: a crash left it behind. To get rid of it, copy "
                "the jobs to a new ledger with `orc bundle` and `orc import`"
            )


def find_digest(ledger: Ledger, name: str) -> str:
    """The digest of the one blob whose digest starts with `name`. Raises UsageProblem."""
    wanted = name.lower()
    if len(wanted) < 8 or not set(wanted) <= set("0123456789abcdef"):
        raise UsageProblem(
            f"{name!r} is not a digest; give 8 to 64 hexadecimal digits of a SHA-256"
        )
    rows = ledger.connection.execute(
        "SELECT sha256 FROM blobs WHERE substr(sha256, 1, ?) = ? LIMIT 2", (len(wanted), wanted)
    ).fetchall()
    if not rows:
        raise UsageProblem(
            f"no blob has the digest {name}; `orc show JOB --events --json` prints those of a job"
        )
    if len(rows) > 1:
        raise UsageProblem(f"more than one digest starts with {name}; give more digits")
    return str(rows[0][0])

"""`orc prune` and `orc redact`: checks a plan of removal, and applies it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from msgspec import Struct

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.secrets import mask_of_jobs
from orc.cli.jobs.folders import cannot_write, check_run_folder
from orc.cli.jobs.own_folder import folder_of
from orc.cli.jobs.places import Places, open_for_reading, open_for_writing
from orc.ledger import Ledger, LedgerReader, OwnerLock, failpoints, has_owner, refuse_owner
from orc.ledger.command_lines import quoted_command
from orc.ledger.digest import clean_text
from orc.ledger.errors import OwnedElsewhere
from orc.ledger.files.runner_log import clear_runner_log
from orc.ledger.removal import compact, is_worth_compacting, remove_blobs
from orc.projections import Publisher
from orc.projections.folder.removed_files import (
    delivered_files,
    files_with,
    find_files,
    remove_files,
)
from orc.projections.folder.verify import is_behind
from orc.projections.money.prices import PriceTable
from orc.projections.removal_plan import IS_RUN, Removal, list_jobs
from orc.projections.search.file import remove_index
from orc.scheduler.clock import Clock
from orc.scheduler.folders.work_folder import remove_tree
from orc.scheduler.folders.workspace import WORK_FOLDERS


class Unfinished(Struct, frozen=True):
    """What an earlier removal left undone in a job's run folder, since it was killed or had no --files.

    `files` are files that were made of removed bytes, `folders` those in which steps worked.
    `is_behind` is whether the folder does not tell of the removal yet.
    """

    job_id: str
    folder: Path
    files: tuple[Path, ...]
    is_behind: bool
    folders: tuple[Path, ...] = ()


class Removed(Struct, frozen=True):
    """The result of a removal: the number of blobs that had bytes, and the removed files.

    `folders` are those in which steps worked, and which were kept until now. `completed` are jobs of
    earlier removals whose run folders were completed. `files_left` are files that hold the same bytes
    and were not removed. `owned` are jobs that another process has begun to run in the meantime, so
    that their run folders were left alone. Without `is_compact`, unused pages of the ledger file may
    still hold removed bytes.
    """

    blobs: int
    files: tuple[Path, ...]
    completed: tuple[str, ...]
    files_left: tuple[Path, ...]
    owned: tuple[str, ...]
    is_compact: bool
    folders: tuple[Path, ...] = ()


def open_for_removal(places: Places, *, is_dry: bool) -> AbstractContextManager[LedgerReader]:
    """The ledger, to plan a removal: a `Ledger`, or read-only for a dry run. Raises LedgerError."""
    return open_for_reading(places) if is_dry else open_for_writing(places, os.environ)


def find_unfinished(
    ledger: LedgerReader, plan: Removal, *, files: bool, prices: PriceTable
) -> tuple[Unfinished, ...]:
    """What earlier removals of the plan's blobs left in run folders; with `files` also files."""
    found = []
    for job in plan.earlier:
        folder = folder_of(ledger, job.job_id, use="write")
        if not folder.is_dir():
            continue
        left: tuple[Path, ...] = ()
        kept = kept_work(folder, plan) if files else ()
        if files:
            left = tuple(find_files(ledger, job.job_id, job.digests, folder, prices))
        behind = is_behind(ledger, job.job_id, folder)
        if left or kept or behind:
            found.append(Unfinished(job.job_id, folder, left, behind, kept))
    return tuple(found)


def apply_removal(
    ledger: Ledger,
    plan: Removal,
    *,
    reason: str | None,
    files: bool,
    prices: PriceTable,
) -> Removed:
    """Remove the blobs in the plan, publish the run folders again, and compact the ledger file.

    With `files`, files in run folders that hold the bytes are removed too. What a killed removal of
    the same blobs left undone is completed. Raises LedgerError, EnvironmentProblem, OSError, and
    StorageError for a run folder that cannot be written.
    """
    ledger.widen_mask(mask_of_jobs(ledger, sorted(plan.covered), os.environ))
    for job_id in plan.covered:
        folder = folder_of(ledger, job_id, use="write")
        if folder.is_dir():
            check_run_folder(folder)
    unfinished = find_unfinished(ledger, plan, files=files, prices=prices)
    left: list[Path] = []
    changed = {job.job_id for job in plan.jobs} | {found.job_id for found in unfinished}
    covered = {
        job_id: digests
        for job_id, digests in plan.covered.items()
        if job_id in changed or plan.cause == "redact"
    }
    for job_id, digests in covered.items() if files else ():
        left += delivered_files(ledger, job_id, digests)
    blobs = remove_blobs(
        ledger,
        {job.job_id: job.digests for job in plan.jobs},
        cause=plan.cause,
        reason=None if reason is None else clean_text(reason),
        at=Clock().recorded_at(),
    )
    failpoints.hit("removal.before_index")
    remove_index(ledger.path)
    failpoints.hit("removal.before_files")
    for job_id in covered:
        clear_runner_log(ledger.path, job_id)
    gone: list[Path] = []
    owned = []
    folders: list[Path] = []
    for job_id, digests in covered.items():
        folder = folder_of(ledger, job_id, use="write")
        if not folder.is_dir():
            continue
        if job_id in changed:
            try:
                kept = kept_work(folder, plan) if files else ()
                digests_gone = digests if files else ()
                gone += _update_folder(ledger, job_id, folder, digests_gone, kept, prices)
                folders += kept
            except OwnedElsewhere:
                owned.append(job_id)
            except OSError as error:
                raise cannot_write(folder, error, "give the same command again") from error
        left += files_with(folder, digests) if files else ()
    failpoints.hit("removal.before_compact")
    is_compact = True
    if plan.cause == "redact" or is_worth_compacting(ledger.connection):
        is_idle = not any(has_owner(ledger.path, job_id) for job_id, _, _ in list_jobs(ledger))
        is_compact = is_idle and compact(ledger)
    completed = tuple(found.job_id for found in unfinished if found.job_id not in owned)
    return Removed(
        blobs, tuple(gone), completed, tuple(left), tuple(owned), is_compact, tuple(folders)
    )


def _update_folder(
    ledger: Ledger,
    job_id: str,
    folder: Path,
    digests: Collection[str],
    kept: Iterable[Path],
    prices: PriceTable,
) -> list[Path]:
    """Remove the files that were made of the blobs, and publish the folder; the removed files.

    `kept` are folders in which steps worked; they are removed too.
    """
    lock = OwnerLock(ledger.path, job_id)
    lock.acquire(wait_s=0)
    try:
        publisher = Publisher(ledger, job_id, folder, prices=prices)
        publisher.sweep()
        gone = list(remove_files(ledger, job_id, digests, folder, prices))
        for path in kept:
            remove_tree(path)
        publisher.publish()
    finally:
        lock.release()
    return gone


def kept_work(folder: Path, plan: Removal) -> tuple[Path, ...]:
    """The folders in which the steps of a pruned job worked, if they were kept.

    Of redacted bytes, single copies in them are named instead: the rest is the user's.
    """
    if plan.cause != "prune":
        return ()
    return tuple(path for name in WORK_FOLDERS if os.path.lexists(path := folder / name))


def refuse_left_out(ledger: LedgerReader, plan: Removal, named: Sequence[str]) -> None:
    """Raise OwnedElsewhere or UsageProblem if the plan leaves out a job that it must contain.

    A redaction must contain every job that has the bytes. `named` are jobs that --job names.
    """
    for job_id, why in plan.left_out:
        if why == IS_RUN and (plan.cause == "redact" or job_id in named):
            refuse_owner(ledger.path, job_id)
        if plan.cause == "redact":
            raise UsageProblem(
                f"{job_id} has these bytes and {why}; it could not be resumed without them. "
                f"--job {job_id} removes them all the same"
            )


def refuse_unnamed(plan: Removal, digests: Iterable[str]) -> None:
    """Raise UsageProblem for a blob of no job: no stream could record its removal."""
    known = frozenset().union(*plan.covered.values())
    for digest in digests:
        if digest not in known:
            raise UsageProblem(
                f"no job has the blob {digest[:12]}...: a crash left it behind. To get rid of it, copy "
                "the jobs to a new ledger with `orc bundle` and `orc import`"
            )


def find_digest(ledger: LedgerReader, name: str) -> str:
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
            f"no blob has the digest {name}; "
            f"{quoted_command('show', 'JOB', '--events', '--json')} prints those of a job"
        )
    if len(rows) > 1:
        raise UsageProblem(f"more than one digest starts with {name}; give more digits")
    return str(rows[0][0])

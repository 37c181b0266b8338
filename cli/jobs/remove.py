"""`orc prune` and `orc redact`: finding what is meant, carrying the plan out, and saying both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orc.cli.errors import UsageProblem
from orc.cli.jobs.folders import folder_of
from orc.cli.terminal.text import put, put_json, safe, say, table
from orc.ledger import Ledger, OwnerLock, has_owner
from orc.ledger.digest import clean_text
from orc.ledger.removal import compact, has_bytes, has_much_room, remove_blobs, spec_blobs
from orc.projections import Publisher
from orc.projections.folder.removed_files import delivered_files, files_with, remove_files
from orc.projections.money.prices import PriceTable
from orc.projections.removal_plan import IS_RUN, Removal, list_jobs
from orc.projections.search.file import remove_index
from orc.scheduler.clock import Clock

_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Removed:
    """What was done: blobs whose bytes went, files too, files with the same bytes that are left.

    Without `is_compact` the file may hold old pages still.
    """

    blobs: int
    files: tuple[Path, ...]
    files_left: tuple[Path, ...]
    is_compact: bool


def carry_out(
    ledger: Ledger,
    plan: Removal,
    *,
    reason: str | None,
    files: bool,
    prices: PriceTable,
) -> Removed:
    """Remove what the plan names, bring the run folders up to date, and write the file anew.

    With `files` the published files go that hold such bytes. What was done before a crash
    is done already; doing it again does the rest. Raises LedgerError, OSError.
    """
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
    if plan.cause == "redact" or has_much_room(ledger.connection):
        is_idle = not any(has_owner(ledger.path, job_id) for job_id, _, _ in list_jobs(ledger))
        is_compact = is_idle and compact(ledger)
    return Removed(removed, tuple(gone), tuple(left), is_compact)


def refuse_left_out(ledger: Ledger, plan: Removal, named: Sequence[str]) -> None:
    """Raise OwnedElsewhere or UsageProblem where a job that has to be in the plan is not."""
    for job_id, why in plan.left_out:
        if why == IS_RUN and (plan.cause == "redact" or job_id in named):
            lock = OwnerLock(ledger.path, job_id)
            lock.acquire(wait_s=0)
            lock.release()
        if plan.cause == "redact":
            raise UsageProblem(
                f"{job_id} names these bytes, and {why}: it could not go on without them; "
                f"--job {job_id} removes them nevertheless"
            )


def refuse_unnamed(plan: Removal, digests: Iterable[str]) -> None:
    """Raise UsageProblem for a blob that no job names: there is no stream to tell."""
    for digest in digests:
        if digest not in plan.digests:
            raise UsageProblem(
                f"no event names blob {digest[:12]}...: a crash left it. `orc bundle` and "
                "`orc import` carry the jobs to a ledger that does not have it"
            )


def find_digest(ledger: Ledger, name: str) -> str:
    """The one digest that begins so. Raises UsageProblem."""
    wanted = name.lower()
    if len(wanted) < 8 or not set(wanted) <= set("0123456789abcdef"):
        raise UsageProblem(f"{name!r} is no digest: give 8 to 64 hexadecimal digits of a SHA-256")
    rows = ledger.connection.execute(
        "SELECT sha256 FROM blobs WHERE substr(sha256, 1, ?) = ? LIMIT 2", (len(wanted), wanted)
    ).fetchall()
    if not rows:
        raise UsageProblem(
            f"no blob has the digest {name}: `orc show JOB --events --json` has those of a job"
        )
    if len(rows) > 1:
        raise UsageProblem(f"{name} is the beginning of more than one digest; give more of it")
    return str(rows[0][0])


def tell(plan: Removal, done: Removed | None, *, again: str, as_json: bool) -> None:
    """Say what would be removed, or what was."""
    if as_json:
        put_json(_as_json(plan, done))
        return
    if plan.jobs and done is None:
        rows = [
            (job.job_id, job.status, job.at[:10], len(job.digests), job.size_bytes)
            for job in plan.jobs
        ]
        put(table(("JOB", "STATUS", "LAST EVENT", "BLOBS", "BYTES"), rows))
    for job_id, why in plan.left_out:
        say(f"left out: {job_id}: {why}")
    if plan.shared:
        say(f"{plan.shared} blob(s) stay: other jobs need them")
    _tell_copies(plan)
    counted = f"{len(plan.digests)} blob(s) of {len(plan.jobs)} job(s), {plan.size_bytes} bytes"
    if done is None:
        say(f"would be removed: {counted}" if plan.jobs else "nothing to remove")
        if plan.jobs:
            say(f"nothing is removed yet; to do it: {again} --yes")
        return
    say(f"removed: {counted}")
    for path in done.files[:_SHOWN_MAX]:
        say(f"  and the file {safe(path)}")
    if len(done.files) > _SHOWN_MAX:
        say(f"  and {len(done.files) - _SHOWN_MAX} more files")
    for path in done.files_left[:_SHOWN_MAX]:
        say(f"left alone: {safe(path)} holds the same bytes")
    if len(done.files_left) > _SHOWN_MAX:
        say(f"left alone: {len(done.files_left) - _SHOWN_MAX} more files with the same bytes")
    if not done.is_compact:
        say(
            "the ledger was not written anew, since another program uses it: old pages of it "
            f"may still hold the bytes; later, again: {again} --yes"
        )


def _tell_copies(plan: Removal) -> None:
    for digest in plan.also_in_blobs[:_SHOWN_MAX]:
        say(f"also in blob {digest}: name it as well to remove it")
    if len(plan.also_in_blobs) > _SHOWN_MAX:
        say(f"also in {len(plan.also_in_blobs) - _SHOWN_MAX} more blobs (--json names them)")
    for job_id, version in plan.also_in_events[:_SHOWN_MAX]:
        say(f"also in event {version} of {job_id} itself: events cannot be changed")


def _as_json(plan: Removal, done: Removed | None) -> dict[str, Any]:
    return {
        "removed": done is not None,
        "cause": plan.cause,
        "blobs": sorted(plan.digests),
        "size_bytes": plan.size_bytes,
        "jobs": [
            {
                "job_id": job.job_id,
                "status": job.status,
                "last_event_at": job.at,
                "blobs": sorted(job.digests),
                "size_bytes": job.size_bytes,
            }
            for job in plan.jobs
        ],
        "left_out": [{"job_id": job_id, "why": why} for job_id, why in plan.left_out],
        "shared": plan.shared,
        "also_in_blobs": list(plan.also_in_blobs),
        "also_in_events": [
            {"job_id": job_id, "seq": version} for job_id, version in plan.also_in_events
        ],
        "files": [] if done is None else [str(path) for path in done.files],
        "files_left": [] if done is None else [str(path) for path in done.files_left],
        "compact": done is not None and done.is_compact,
    }

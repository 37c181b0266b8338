"""Which blobs `orc prune` and `orc redact` would remove, and which they keep and why.

This module only reads. `ledger/removal.py` removes the blobs of a plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from orc.ledger import LedgerReader, has_owner
from orc.ledger.blob_rows import STANDS_FOR_FILE
from orc.ledger.bounds import STORED_BYTES_MIN
from orc.ledger.digest import canonical_json
from orc.ledger.errors import CorruptLedger
from orc.ledger.kinds import JOB_ENDED
from orc.ledger.names import check_job_id
from orc.ledger.removal import blobs_by_job, has_bytes, removed_from_job, size_of, spec_blobs

_COPY_BYTES_MIN = 8
"""Copies of fewer bytes are not searched for: they occur in too many places by chance."""

IS_RUN = "it is being run"

Cause = Literal["prune", "redact"]


class JobPart(Struct, frozen=True):
    """The blobs that are removed from one job; `at` is the time of its last event."""

    job_id: str
    status: str
    at: str
    digests: frozenset[str]
    size_bytes: int


class Removal(Struct, frozen=True):
    """A plan: the blobs to remove from each job, and what stays.

    `earlier` are jobs with blobs that the plan covers and that have no bytes any more: a killed
    command may have left files of them. `left_out` are jobs that lose no blob, each with the
    reason. `shared` counts the blobs that stay because another job needs them. `size_bytes` is the
    size of the blobs that are removed. `also_in_blobs` (digests) and `also_in_events` (job and
    version) hold copies of the same bytes, which stay.
    """

    cause: Cause
    jobs: tuple[JobPart, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    shared: int = 0
    size_bytes: int = 0
    also_in_blobs: tuple[str, ...] = ()
    also_in_events: tuple[tuple[str, int], ...] = ()
    earlier: tuple[JobPart, ...] = ()

    @property
    def digests(self) -> frozenset[str]:
        """The digests of all blobs that are removed."""
        return frozenset().union(*(job.digests for job in self.jobs))

    @property
    def covered(self) -> dict[str, frozenset[str]]:
        """The digests of each job, with those of earlier removals."""
        found: dict[str, frozenset[str]] = {}
        for part in (*self.jobs, *self.earlier):
            found[part.job_id] = found.get(part.job_id, frozenset()) | part.digests
        return found


def plan_prune(
    ledger: LedgerReader, *, before: str | None, now: str, named: Collection[str]
) -> Removal:
    """Plan to remove the blobs of old or named jobs, except the blobs that other jobs need.

    `before` selects jobs whose last event was before that time (UTC text), `named` jobs by id. A
    job that has not ended is left out unless it is named; a running job is always left out. The
    blobs of specs stay, so that the jobs can still be shown.

    A clock that was slow makes a job look old. No job is older than one that was over before it:
    times up to `now` of earlier jobs count for the later ones.
    """
    chosen: dict[str, tuple[str, str]] = {}
    left_out: list[tuple[str, str]] = []
    latest = ""
    for job_id, status, at in list_jobs(ledger):
        latest = max(latest, at) if at <= now else latest
        is_recent = before is not None and max(at, latest) >= before
        if (named and job_id not in named) or is_recent:
            continue
        if has_owner(ledger.path, job_id):
            left_out.append((job_id, IS_RUN))
        elif status not in JOB_ENDED and job_id not in named:
            left_out.append((job_id, "it has not ended"))
        else:
            chosen[job_id] = (status, at)
    by_job = blobs_by_job(ledger.connection)
    needed = {digest for job, found in by_job.items() if job not in chosen for digest in found}
    parts, earlier = [], []
    shared: set[str] = set()
    for job_id, (status, at) in chosen.items():
        found = by_job.get(job_id, set()) - spec_blobs(ledger.connection, job_id)
        there = {digest for digest in found if has_bytes(ledger.connection, digest)}
        gone = (found - there) & removed_from_job(ledger.connection, job_id)
        shared |= there & needed
        if there - needed:
            parts.append(_part(ledger, job_id, status, at, there - needed))
        if gone:
            earlier.append(_part(ledger, job_id, status, at, gone))
    return _removal(ledger, "prune", parts, earlier, left_out, len(shared))


def plan_redaction(
    ledger: LedgerReader, digests: Collection[str], *, named: Collection[str]
) -> Removal:
    """Plan to remove these blobs from every job that refers to them.

    A job that refers to one of them and has not ended is left out unless it is named. Every running
    job is left out, since the removal rewrites the whole file. If any job is left out, the plan
    cannot be carried out.
    """
    by_job = blobs_by_job(ledger.connection, wanted=digests)
    there = {digest for digest in digests if has_bytes(ledger.connection, digest)}
    parts, earlier = [], []
    left_out: list[tuple[str, str]] = []
    for job_id, status, at in list_jobs(ledger):
        found = by_job.get(job_id)
        if has_owner(ledger.path, job_id):
            left_out.append((job_id, IS_RUN))
        elif found and status not in JOB_ENDED and job_id not in named:
            left_out.append((job_id, "it has not ended"))
        elif found:
            if found & there:
                parts.append(_part(ledger, job_id, status, at, found & there))
            if found - there:
                earlier.append(_part(ledger, job_id, status, at, found - there))
    plan = _removal(ledger, "redact", parts, earlier, left_out, 0)
    blobs, events = _copies(ledger, digests)
    return replace(plan, also_in_blobs=tuple(blobs), also_in_events=tuple(events))


def list_jobs(ledger: LedgerReader) -> list[tuple[str, str, str]]:
    """Every job with its status and the time of its last event, in the order of these events."""
    # With a single max(), SQLite takes the other columns from the same row.
    rows = ledger.connection.execute(
        "SELECT job_id, status, recorded_at, max(events.position) FROM jobs "
        "JOIN events USING (job_id) WHERE events.type <> 'blob.removed' "
        "GROUP BY job_id ORDER BY 4"
    ).fetchall()
    where = str(ledger.path)
    return [(check_job_id(job_id, where=where), status, at) for job_id, status, at, _ in rows]


def _part(
    ledger: LedgerReader, job_id: str, status: str, at: str, digests: Iterable[str]
) -> JobPart:
    found = frozenset(digests)
    size = sum(size_of(ledger.connection, digest) for digest in found)
    return JobPart(job_id, status, at, found, size)


def _removal(
    ledger: LedgerReader,
    cause: Cause,
    parts: list[JobPart],
    earlier: list[JobPart],
    left_out: list[tuple[str, str]],
    shared: int,
) -> Removal:
    every = frozenset().union(*(part.digests for part in parts))
    size = sum(size_of(ledger.connection, digest) for digest in every)
    return Removal(cause, tuple(parts), tuple(left_out), shared, size, earlier=tuple(earlier))


def _copies(
    ledger: LedgerReader, digests: Iterable[str]
) -> tuple[list[str], list[tuple[str, int]]]:
    """Other blobs, and events, that contain the same bytes, as they are or as a JSON string.

    Copies of a large file are not searched for: a file that contains another one is not text that
    was quoted.
    """
    blobs: dict[str, None] = {}
    events: dict[tuple[str, int], None] = {}
    for digest in digests:
        if not has_bytes(ledger.connection, digest):
            continue
        if ledger.blob_size(digest) > STORED_BYTES_MIN:
            continue
        content = ledger.read_blob(digest)
        for needle in _needles(content):
            rows = ledger.connection.execute(
                "SELECT sha256 FROM blobs WHERE instr(CAST(content AS BLOB), ?)", (needle,)
            )
            found_in = [found for (found,) in rows]
            found_in += [name for name in _stored_files(ledger) if _has(ledger, name, needle)]
            blobs.update((found, None) for found in found_in if found not in set(digests))
            places = ledger.connection.execute(
                "SELECT job_id, version FROM events WHERE instr(CAST(data AS BLOB), ?)", (needle,)
            )
            events.update(((job_id, version), None) for job_id, version in places)
    return list(blobs), list(events)


def _stored_files(ledger: LedgerReader) -> list[str]:
    rows = ledger.connection.execute(f"SELECT sha256 FROM blobs WHERE {STANDS_FOR_FILE}")
    return [digest for (digest,) in rows]


def _has(ledger: LedgerReader, digest: str, needle: bytes) -> bool:
    """Whether a large file contains the bytes. It is read in parts; a damaged one as far as it goes."""
    before = b""
    with suppress(CorruptLedger):
        for chunk in ledger.blob_chunks(digest):
            window = before + chunk
            if needle in window:
                return True
            before = window[max(0, len(window) - len(needle) + 1) :]
    return False


def _needles(content: bytes) -> Iterator[bytes]:
    if len(content) < _COPY_BYTES_MIN:
        return
    yield content
    try:
        escaped = canonical_json(content.decode())[1:-1].encode()
    except UnicodeDecodeError:
        return
    if escaped != content:
        yield escaped

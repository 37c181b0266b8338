"""What `orc prune` and `orc redact` would remove, and what not, and why. Nothing is removed here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from orc.ledger import LedgerReader, has_owner
from orc.ledger.digest import canonical_json
from orc.ledger.kinds import JOB_ENDED
from orc.ledger.removal import blobs_by_job, has_bytes, size_of, spec_blobs

_COPY_BYTES_MIN = 8
"""Shorter bytes are in too many places by chance to be looked for."""

IS_RUN = "it is being run"

Cause = Literal["prune", "redact"]


@dataclass(frozen=True, slots=True)
class JobPart:
    """What one job loses; `at` is when its last event was."""

    job_id: str
    status: str
    at: str
    digests: frozenset[str]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Removal:
    """What would be removed, and what would not: jobs with why, and how many blobs others need."""

    cause: Cause
    jobs: tuple[JobPart, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    shared: int = 0
    size_bytes: int = 0
    also_in_blobs: tuple[str, ...] = ()
    also_in_events: tuple[tuple[str, int], ...] = ()

    @property
    def digests(self) -> frozenset[str]:
        """Every blob, once."""
        return frozenset().union(*(job.digests for job in self.jobs))


def plan_prune(ledger: LedgerReader, *, before: str | None, named: Collection[str]) -> Removal:
    """The blobs of jobs whose last event was before that time, or of those named, that no other needs.

    Jobs that have not ended are left out unless they are named, jobs that are run
    always. Specs stay, so that a job can still be shown.
    """
    chosen: dict[str, tuple[str, str]] = {}
    left_out: list[tuple[str, str]] = []
    for job_id, status, at in list_jobs(ledger):
        if (named and job_id not in named) or (before is not None and at >= before):
            continue
        if has_owner(ledger.path, job_id):
            left_out.append((job_id, IS_RUN))
        elif status not in JOB_ENDED and job_id not in named:
            left_out.append((job_id, "it has not ended"))
        else:
            chosen[job_id] = (status, at)
    by_job = blobs_by_job(ledger.connection)
    needed = {digest for job, found in by_job.items() if job not in chosen for digest in found}
    parts = []
    shared: set[str] = set()
    for job_id, (status, at) in chosen.items():
        found = by_job.get(job_id, set()) - spec_blobs(ledger.connection, job_id)
        there = {digest for digest in found if has_bytes(ledger.connection, digest)}
        shared |= there & needed
        if there - needed:
            parts.append(_part(ledger, job_id, status, at, there - needed))
    return _removal(ledger, "prune", parts, left_out, len(shared))


def plan_redaction(
    ledger: LedgerReader, digests: Collection[str], *, named: Collection[str]
) -> Removal:
    """These blobs, in every job that names them.

    Left out are jobs that have not ended, unless they are named; and any that is run,
    since the file is written anew. Where one is left out, nothing can be removed.
    """
    by_job = blobs_by_job(ledger.connection, wanted=digests)
    parts = []
    left_out: list[tuple[str, str]] = []
    for job_id, status, at in list_jobs(ledger):
        found = by_job.get(job_id)
        if has_owner(ledger.path, job_id):
            left_out.append((job_id, IS_RUN))
        elif found and status not in JOB_ENDED and job_id not in named:
            left_out.append((job_id, "it has not ended"))
        elif found:
            parts.append(_part(ledger, job_id, status, at, found))
    plan = _removal(ledger, "redact", parts, left_out, 0)
    blobs, events = _copies(ledger, digests)
    return replace(plan, also_in_blobs=tuple(blobs), also_in_events=tuple(events))


def list_jobs(ledger: LedgerReader) -> list[tuple[str, str, str]]:
    """Every job with its status and the time of its last event, oldest first."""
    rows: list[tuple[str, str, str]] = ledger.connection.execute(
        "SELECT job_id, status, (SELECT max(recorded_at) FROM events WHERE "
        "events.job_id = jobs.job_id AND type <> 'blob.removed') AS at FROM jobs ORDER BY at"
    ).fetchall()
    return rows


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
    left_out: list[tuple[str, str]],
    shared: int,
) -> Removal:
    every = frozenset().union(*(part.digests for part in parts))
    size = sum(
        size_of(ledger.connection, digest)
        for digest in every
        if has_bytes(ledger.connection, digest)
    )
    return Removal(cause, tuple(parts), tuple(left_out), shared, size)


def _copies(
    ledger: LedgerReader, digests: Iterable[str]
) -> tuple[list[str], list[tuple[str, int]]]:
    """Other blobs, and events, that hold the same text: as it is, or as JSON has it."""
    blobs: dict[str, None] = {}
    events: dict[tuple[str, int], None] = {}
    for digest in digests:
        if not has_bytes(ledger.connection, digest):
            continue
        content = ledger.read_blob(digest)
        for needle in _needles(content):
            rows = ledger.connection.execute(
                "SELECT sha256 FROM blobs WHERE instr(CAST(content AS BLOB), ?)", (needle,)
            )
            blobs.update((found, None) for (found,) in rows if found not in set(digests))
            places = ledger.connection.execute(
                "SELECT job_id, version FROM events WHERE instr(CAST(data AS BLOB), ?)", (needle,)
            )
            events.update(((job_id, version), None) for job_id, version in places)
    return list(blobs), list(events)


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

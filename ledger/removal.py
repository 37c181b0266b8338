"""Removes the bytes of blobs and records it with an event in each stream that names them.

The row of a blob stays; its content becomes the position of the `blob.removed` event (see the
triggers in `schema.py`). The caller decides which blobs to remove.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Literal

from orc.ledger import failpoints
from orc.ledger.codec import mask_event
from orc.ledger.connection import storage_errors
from orc.ledger.digest import Digest
from orc.ledger.events import BlobRemoved, JobId, Recorded
from orc.ledger.files.locks import OwnerLock
from orc.ledger.integrity import blobs_of, removals_of
from orc.ledger.names import check_job_id
from orc.ledger.store import Ledger
from orc.ledger.stored import parse_json, parse_object

DIGESTS_MAX = 1000
"""The maximum number of blobs that one event names."""

_JOBS_AT_ONCE = 100
_SPEC_EVENT_TYPES = "('job.submitted', 'job.amended')"


def blobs_by_job(
    connection: sqlite3.Connection, *, wanted: Collection[str] | None = None
) -> dict[str, set[str]]:
    """The digests that each job's events and specs name; if `wanted` is given, only these."""
    found: dict[str, set[str]] = defaultdict(set)
    rows = connection.execute(
        "SELECT job_id, data FROM events WHERE instr(data, '\"sha256\"') ORDER BY position"
    )
    for job_id, data in rows:
        digests = blobs_of(data.encode())
        check_job_id(job_id, where="the ledger")
        found[job_id] |= digests if wanted is None else digests.intersection(wanted)
    for job_id, digests in _blobs_of_specs(connection, None):
        found[job_id] |= digests if wanted is None else digests.intersection(wanted)
    return {job_id: digests for job_id, digests in found.items() if digests}


def blobs_of_job(connection: sqlite3.Connection, job_id: str) -> set[str]:
    """The digests of the blobs that the job's events and specs name."""
    rows = connection.execute(
        "SELECT data FROM events WHERE job_id = ? AND instr(data, '\"sha256\"')", (job_id,)
    )
    found = {digest for (data,) in rows for digest in blobs_of(data.encode())}
    for _, digests in _blobs_of_specs(connection, job_id):
        found |= digests
    return found


def spec_blobs(connection: sqlite3.Connection, job_id: str) -> set[str]:
    """The digests of the blobs that hold the job's specs, both the source and the resolved form."""
    return {
        document["sha256"]
        for _, fields in _spec_events(connection, job_id)
        for document in (fields["spec"], fields["source"])
        if "sha256" in document
    }


def table_blobs(connection: sqlite3.Connection, job_id: str) -> set[str]:
    """The digests of the blobs from which tables are derived: the job's specs, and values of items."""
    rows = connection.execute(
        "SELECT data FROM events WHERE job_id = ? AND type = 'step.expanded' "
        "AND instr(data, '\"sha256\"')",
        (job_id,),
    )
    values = {digest for (data,) in rows for digest in blobs_of(data.encode())}
    return spec_blobs(connection, job_id) | values


def digests_in_specs(
    connection: sqlite3.Connection, job_id: str | None
) -> Iterator[tuple[str, set[str]]]:
    """The digests that each spec itself names (images of prompts), for one job or for all."""
    for found_in, content in specs(connection, job_id):
        yield found_in, set(_digests_in(content))


def specs(connection: sqlite3.Connection, job_id: str | None) -> Iterator[tuple[str, Any]]:
    """Each resolved spec of one job or of all, as JSON, with its job; None if its bytes are gone."""
    for found_in, fields in _spec_events(connection, job_id):
        document = fields["spec"]
        content: Any = document.get("value")
        if "sha256" in document:
            row = connection.execute(
                "SELECT content FROM blobs WHERE sha256 = ?", (document["sha256"],)
            ).fetchone()
            content = parse_json(row[0]) if row and isinstance(row[0], str) else None
        yield found_in, content


def removed_from_job(connection: sqlite3.Connection, job_id: str) -> set[str]:
    """The digests whose removal the job's events record, and that no later event names."""
    rows = connection.execute(
        "SELECT type, data FROM events WHERE job_id = ? AND version >= (SELECT min(version) "
        "FROM events WHERE job_id = ? AND type = 'blob.removed') ORDER BY version",
        (job_id, job_id),
    )
    found: set[str] = set()
    for kind, data in rows:
        if kind == "blob.removed":
            found |= removals_of(data.encode())
        else:
            found -= blobs_of(data.encode())
    return found


def remove_blobs(
    ledger: Ledger,
    blobs: Mapping[str, Collection[str]],
    *,
    cause: Literal["prune", "redact"],
    reason: str | None = None,
    at: str,
) -> int:
    """Remove the bytes of blobs; returns how many blobs still had bytes.

    `blobs` maps each job id to the digests that the job names. The function owns the jobs
    while it works, and raises OwnedElsewhere if one has an owner. The bytes of a blob are
    removed with the event of the last of its jobs, so that after a crash no stream lacks
    the event for bytes that are gone; the same call then continues with the jobs that have no
    event yet. The tables of jobs that were derived from such a blob are derived again with it.
    """
    ledger.connection.execute("PRAGMA secure_delete = ON")
    # Before the jobs that have their event are left out: their tables have the values, too.
    derived = {
        job_id: table_blobs(ledger.connection, job_id).intersection(digests)
        for job_id, digests in blobs.items()
    }
    blobs = _without_recorded(ledger.connection, blobs)
    jobs_left: dict[str, int] = defaultdict(int)
    for digests in blobs.values():
        for digest in digests:
            jobs_left[digest] += 1
    jobs = list(blobs)
    removed = 0
    for start in range(0, len(jobs), _JOBS_AT_ONCE):
        some = jobs[start : start + _JOBS_AT_ONCE]
        with ExitStack() as locks, ledger._transaction():
            for job_id in some:
                lock = OwnerLock(ledger.path, job_id)
                lock.acquire(wait_s=0)
                locks.callback(lock.release)
            places: dict[str, tuple[str, int]] = {}
            batch: list[Recorded] = []
            for job_id in some:
                for recorded in _events_of(ledger, JobId(job_id), blobs[job_id], cause, reason, at):
                    batch.append(recorded)
                    assert isinstance(recorded.event, BlobRemoved)
                    for digest in recorded.event.digests:
                        places[digest] = (job_id, recorded.version)
                        jobs_left[digest] -= 1
            heads, _ = ledger._insert_events(batch)
            ledger._projector.apply(ledger.connection, batch)
            gone = {
                digest
                for digest, place in places.items()
                if not jobs_left[digest] and _remove_one(ledger.connection, digest, *place)
            }
            removed += len(gone)
            ledger._derive_again(
                job_id for job_id, own in derived.items() if not gone.isdisjoint(own)
            )
        ledger._written.update(heads)
    remove_stored_files(ledger)
    return removed


def remove_stored_files(ledger: Ledger) -> int:
    """Remove the files beside the ledger whose removal is recorded; returns how many there were.

    A killed removal may have left some. It holds the write lock, so that no other process can record
    the same content again between the check and the removal.
    """
    failpoints.hit("removal.before_unlink")
    with ledger._transaction():
        gone = [
            digest for digest in ledger.files.digests() if is_removed(ledger.connection, digest)
        ]
        return sum(ledger.files.remove(digest) for digest in gone)


def is_worth_compacting(connection: sqlite3.Connection) -> bool:
    """Whether at least a tenth of the file is free pages, which `compact` would release."""
    free, pages = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("freelist_count", "page_count")
    )
    return free * 10 >= pages


def compact(ledger: Ledger) -> bool:
    """Rewrite the file without free pages, and truncate its write-ahead log.

    Returns False if another program was reading, so that the log still has old pages.
    Raises StorageError if the disk has no space for a second copy.
    """
    with storage_errors(ledger.path), ledger._lock:
        ledger._in_use.check()
        ledger.connection.execute("VACUUM")
        failpoints.hit("removal.after_vacuum")
        busy = ledger.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    return not busy


def size_of(connection: sqlite3.Connection, digest: str) -> int:
    """The size of a blob in bytes, even if its bytes were removed; 0 for an unknown digest."""
    row = connection.execute("SELECT size_bytes FROM blobs WHERE sha256 = ?", (digest,)).fetchone()
    return 0 if row is None else int(row[0])


def is_removed(connection: sqlite3.Connection, digest: str) -> bool:
    """Whether the ledger has the blob, but not its bytes, since they were removed."""
    row = connection.execute(
        "SELECT typeof(content) = 'integer' FROM blobs WHERE sha256 = ?", (digest,)
    ).fetchone()
    return row is not None and bool(row[0])


def has_bytes(connection: sqlite3.Connection, digest: str) -> bool:
    """Whether the ledger has the blob and its bytes were not removed."""
    row = connection.execute(
        "SELECT typeof(content) <> 'integer' FROM blobs WHERE sha256 = ?", (digest,)
    ).fetchone()
    return row is not None and bool(row[0])


def _without_recorded(
    connection: sqlite3.Connection, blobs: Mapping[str, Collection[str]]
) -> dict[str, set[str]]:
    """The blobs without those whose removal an earlier, killed call recorded in that job."""
    pending = {
        job_id: set(digests) - removed_from_job(connection, job_id)
        for job_id, digests in blobs.items()
    }
    found: set[str] = set().union(*pending.values())
    # A blob needs the event of at least one job.
    rest = {job_id: pending[job_id] | (set(digests) - found) for job_id, digests in blobs.items()}
    return {job_id: digests for job_id, digests in rest.items() if digests}


def _events_of(
    ledger: Ledger,
    job_id: JobId,
    digests: Collection[str],
    cause: Literal["prune", "redact"],
    reason: str | None,
    at: str,
) -> Iterator[Recorded]:
    version = ledger.head(job_id).version
    ordered: Sequence[str] = sorted(digests)
    for start in range(0, len(ordered), DIGESTS_MAX):
        some = ordered[start : start + DIGESTS_MAX]
        size = sum(size_of(ledger.connection, digest) for digest in some)
        named = tuple(Digest(digest) for digest in some)
        version += 1
        event = BlobRemoved(digests=named, size_bytes=size, cause=cause, reason=reason)
        yield Recorded(job_id, version, at, mask_event(ledger.mask, event))


def _remove_one(connection: sqlite3.Connection, digest: str, job_id: str, version: int) -> bool:
    removed = connection.execute(
        "UPDATE blobs SET content = (SELECT position FROM events WHERE job_id = ? AND version = ?) "
        "WHERE sha256 = ? AND typeof(content) <> 'integer'",
        (job_id, version, digest),
    )
    return removed.rowcount > 0


def _blobs_of_specs(
    connection: sqlite3.Connection, job_id: str | None
) -> Iterator[tuple[str, set[str]]]:
    for found_in, digests in digests_in_specs(connection, job_id):
        yield found_in, {digest for digest in digests if _is_named(connection, digest)}


def _is_named(connection: sqlite3.Connection, digest: str) -> bool:
    row = connection.execute("SELECT 1 FROM blobs WHERE sha256 = ?", (digest,)).fetchone()
    return row is not None


def _spec_events(
    connection: sqlite3.Connection, job_id: str | None
) -> list[tuple[str, dict[str, Any]]]:
    rows = connection.execute(
        f"SELECT job_id, data FROM events WHERE type IN {_SPEC_EVENT_TYPES} "
        "AND (? IS NULL OR job_id = ?)",
        (job_id, job_id),
    ).fetchall()
    return [(found, parse_object(data)) for found, data in rows]


def _digests_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        digest = value.get("sha256")
        if isinstance(digest, str):
            yield digest
        for item in value.values():
            yield from _digests_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _digests_in(item)

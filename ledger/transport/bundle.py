"""Writes one job to a bundle, and imports a bundle into another ledger.

A bundle is a ledger with one stream, its blobs and its read model. Rows are copied as they are
stored, so the hash chain stays the same; positions change. Large files are in a table of their own,
so that a bundle is one file. `untrusted.py` reads and checks bundles.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from orc.ledger.blob_rows import PARTS_TABLE, STANDS_FOR_FILE, put_parts
from orc.ledger.codec import INSERT_EVENT, STREAM_COLUMNS
from orc.ledger.connection import storage_errors
from orc.ledger.errors import CorruptLedger, OtherHistory
from orc.ledger.files.file_store import StoredFile
from orc.ledger.files.locks import OwnerLock
from orc.ledger.files.new_file import write_new_file
from orc.ledger.files.snapshot import refuse_old_log
from orc.ledger.integrity import check_blobs, removals_of, walk_chain
from orc.ledger.reader import Head, LedgerReader
from orc.ledger.removal import blobs_of_job
from orc.ledger.schema import migrate
from orc.ledger.store import Ledger, Projector
from orc.ledger.stored import parse_object
from orc.ledger.transport.imported import imported, note_import

_BATCH = 1000


def write_bundle(
    ledger: LedgerReader, job_id: str, target: Path, *, projector: Projector, force: bool = False
) -> Head:
    """Verify the job and write it to a new file; returns the head of its stream.

    Raises CorruptLedger if the job is damaged, and what `write_new_file` and `refuse_old_log` raise.
    """
    refuse_old_log(target)
    with storage_errors(ledger.path):
        links = list(walk_chain(ledger.connection, job_id))
        problems = [link.problem for link in links if link.problem]
        problems += check_blobs(ledger.connection, job_id, checked=set(), files=ledger.files)
    if problems:
        raise CorruptLedger(f"cannot bundle {job_id}, because it is damaged: {problems[0]}")

    def make(temporary: Path) -> None:
        with storage_errors(target), closing(sqlite3.connect(temporary)) as bundle:
            bundle.isolation_level = None
            # write_new_file syncs the file before it renames it.
            bundle.execute("PRAGMA journal_mode = OFF")
            bundle.execute("PRAGMA synchronous = OFF")
            bundle.execute("BEGIN")
            new_tables(bundle, projector)
            copy_job(ledger.connection, bundle, job_id)
            _copy_files(ledger, bundle)
            project(LedgerReader(target, bundle), bundle, projector, job_id)
            bundle.execute("COMMIT")

    write_new_file(target, make, force=force, what=f"bundle of {job_id}")
    return Head(links[-1].version, links[-1].hash)


def _copy_files(ledger: LedgerReader, bundle: sqlite3.Connection) -> None:
    """Write the large files that the bundle names into a table of the bundle."""
    digests = _stored_files(bundle)
    if digests:
        # Without large files, an older version of orc can read the bundle.
        bundle.execute(PARTS_TABLE)
    for digest in digests:
        put_parts(bundle, digest, ledger.files.chunks(digest))


def _stored_files(connection: sqlite3.Connection) -> dict[str, int]:
    """The digests and sizes of the blobs that stand for files."""
    return dict(
        connection.execute(
            f"SELECT sha256, size_bytes FROM blobs WHERE {STANDS_FOR_FILE} ORDER BY sha256"
        )
    )


def new_tables(connection: sqlite3.Connection, projector: Projector) -> None:
    """Create the tables of an empty ledger in an empty database, in the caller's transaction."""
    migrate(connection)
    projector.create(connection)
    connection.execute("INSERT INTO orc_meta VALUES ('read_model', ?)", (str(projector.version),))


def project(
    reader: LedgerReader, connection: sqlite3.Connection, projector: Projector, job_id: str,
    *, after: int = 0,
) -> None:  # fmt: skip
    """Apply the job's events above version `after` to the read model."""
    events = reader.read_stream(job_id, after=after)
    while batch := list(islice(events, _BATCH)):
        projector.apply(connection, batch)


def copy_job(
    source: sqlite3.Connection, target: sqlite3.Connection, job_id: str, *, after: int = 0
) -> None:
    """Copy the job's events above version `after`, and its blobs, as they are stored.

    A blob without bytes gets the position of this job's `blob.removed` event in the target.
    """
    removed: dict[str, int] = {}
    rows = source.execute(
        f"SELECT {STREAM_COLUMNS} FROM events WHERE job_id = ? ORDER BY version", (job_id,)
    )
    for row in rows:
        if row[2] == "blob.removed":
            removed.update(dict.fromkeys(removals_of(row[6].encode()), row[1]))
        if row[1] > after:
            target.execute(INSERT_EVENT, row)
    for digest in sorted(blobs_of_job(source, job_id)):
        for size_bytes, content in source.execute(
            "SELECT size_bytes, content FROM blobs WHERE sha256 = ?", (digest,)
        ):
            stored: Any = content
            if isinstance(content, int):
                stored = target.execute(
                    "SELECT position FROM events WHERE job_id = ? AND version = ?",
                    (job_id, removed[digest]),
                ).fetchone()[0]
            target.execute("INSERT INTO blobs VALUES (?, ?, ?)", (digest, size_bytes, stored))


def import_job(
    ledger: Ledger, bundle: LedgerReader, job_id: str, *, source: str, at: str, is_trusted: bool
) -> tuple[int, int]:
    """Copy the job of a checked bundle; returns the version of its stream before and after.

    If the ledger has the job already, its stream must be a prefix of the bundle's or the
    reverse; missing events are appended. `is_trusted` says whether the job's commands may run
    here. Raises OtherHistory, OwnedElsewhere, LedgerError.
    """
    lock = OwnerLock(ledger.path, job_id)
    lock.acquire(wait_s=0)
    try:
        before, theirs = _heads(ledger, bundle, job_id)
        is_new = theirs.version > before.version
        # Before the transaction, since other processes wait for its end.
        stored = list(_store_files(ledger, bundle)) if is_new else []
        with ledger._transaction():
            before, theirs = _heads(ledger, bundle, job_id)
            if theirs.version > before.version:
                ledger._insert_stored(stored)
                copy_job(bundle.connection, ledger.connection, job_id, after=before.version)
                project(bundle, ledger.connection, ledger._projector, job_id, after=before.version)
                _skip_signals(ledger.connection, bundle.connection, job_id)
            is_new = theirs.version > before.version
            # New events may amend a local job with commands from elsewhere, so it is marked, too.
            if is_new or (is_trusted and imported(ledger.connection, job_id)):
                said = ledger.mask.text(source)
                note_import(ledger.connection, job_id, said, at, is_trusted=is_trusted)
        ledger._written.pop(job_id, None)
        return before.version, max(before.version, theirs.version)
    finally:
        lock.release()


def _heads(ledger: Ledger, bundle: LedgerReader, job_id: str) -> tuple[Head, Head]:
    """The heads of the job in both. Raises OtherHistory if neither stream begins with the other."""
    before, theirs = ledger.head(job_id), bundle.head(job_id)
    common = min(before.version, theirs.version)
    if common and _hash_at(ledger, job_id, common) != _hash_at(bundle, job_id, common):
        raise OtherHistory(
            f"{ledger.path} has a job {job_id} with a different history: its event {common} "
            "differs from the bundle's; nothing was imported"
        )
    return before, theirs


def _store_files(ledger: Ledger, bundle: LedgerReader) -> Iterator[StoredFile]:
    """Copy the large files of the bundle to the store. Raises CorruptLedger for a changed one."""
    for digest in _stored_files(bundle.connection):
        # `chunks` compares the bytes with the digest before the file gets its name.
        with storage_errors(ledger.path):
            yield ledger.files.add(bundle.files.chunks(digest))


def _hash_at(ledger: LedgerReader, job_id: str, version: int) -> str:
    return ledger.read_event(job_id, version).hash


def _skip_signals(target: sqlite3.Connection, source: sqlite3.Connection, job_id: str) -> None:
    """Make this ledger's signal ids start above those that the job's events mention.

    The job's state ignores signals up to the last id that it has handled.
    """
    seen = max(_signal_ids(source, job_id), default=0)
    row = target.execute("SELECT seq FROM sqlite_sequence WHERE name = 'signals'").fetchone()
    if row is None:
        target.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('signals', ?)", (seen,))
    elif row[0] < seen:
        target.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'signals'", (seen,))


def _signal_ids(source: sqlite3.Connection, job_id: str) -> Iterator[int]:
    rows = source.execute(
        "SELECT data FROM events WHERE job_id = ? AND instr(data, '\"signal_id\"')", (job_id,)
    )
    for (data,) in rows:
        found = parse_object(data).get("signal_id")
        if isinstance(found, int) and 0 < found < 2**53:
            yield found

"""Integrity checks of a ledger file: its structure, triggers, hash chains and blobs.

The checks read stored bytes with plain SQL, because a damaged value may be neither text nor
JSON. Damage is returned as a problem text and never raised.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from msgspec import Struct, field

from orc.ledger.blob_rows import stands_for_file
from orc.ledger.codec import EVENT_COLUMNS, row_to_recorded
from orc.ledger.digest import chain_hash, event_hash
from orc.ledger.errors import CorruptLedger, LedgerError
from orc.ledger.events import StoredEvent
from orc.ledger.files.file_store import FileStore
from orc.ledger.names import is_job_id
from orc.ledger.schema_check import schema_problems
from orc.ledger.wording import count_text

_TEXTS = "typeof(job_id) || typeof(type) || typeof(recorded_at) || typeof(data) || typeof(hash)"
_CHAIN = (
    "SELECT version, CAST(job_id AS BLOB), CAST(type AS BLOB), CAST(step AS BLOB), attempt, "
    "CAST(recorded_at AS BLOB), CAST(data AS BLOB), CAST(hash AS BLOB), "
    f"{_TEXTS} = '{'text' * 5}' AND typeof(step) IN ('text', 'null') "
    "AND typeof(attempt) IN ('integer', 'null') AND typeof(version) = 'integer' "
    "FROM events WHERE job_id = ? ORDER BY version"
)
_STRUCTURE_MAX = 20
_HASHED = slice(1, 8)
"""The columns of `EVENT_COLUMNS` that a link of the chain is made of."""
_DATA = 7


class Link(Struct, frozen=True):
    """One event of a hash chain; `problem` is empty if the event is intact."""

    version: int
    hash: str
    data: bytes
    problem: str


def check_structure(connection: sqlite3.Connection) -> Iterator[str]:
    """The problems that SQLite's own check reports, and tables, indexes or triggers that differ."""
    try:
        rows = connection.execute(f"PRAGMA integrity_check({_STRUCTURE_MAX})").fetchall()
        yield from (f"the file: {row[0]}" for row in rows if row[0] != "ok")
        yield from schema_problems(connection)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        yield f"the file: {error}"


def list_jobs(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Each job id in the events, ordered by first event, with its problem (empty if it is valid)."""
    rows = connection.execute(
        "SELECT CAST(job_id AS BLOB), typeof(job_id), min(position) FROM events "
        "GROUP BY 1, 2 ORDER BY 3"
    )
    for stored, kind, position in rows:
        name = bytes(stored or b"").decode("utf-8", "backslashreplace")
        bad = kind != "text" or not is_job_id(name)
        yield name, f"the event at position {position} has no valid job id" if bad else ""


def walk_chain(connection: sqlite3.Connection, job_id: str) -> Iterator[Link]:
    """The job's events in order of version, each checked against the event before it.

    It ends after an event that comes a second time.
    """
    previous = ""
    expected = 1
    for version, *columns, stored, is_typed in connection.execute(_CHAIN, (job_id,)):
        link = bytes(stored or b"").decode("ascii", "replace")
        problem = ""
        if version != expected:
            problem = f"event {expected} is missing"
        elif not is_typed or not _matches_hash(previous, version, columns, link):
            problem = f"event {version} was changed: its hash does not match its content"
        yield Link(version, link, bytes(columns[-1] or b""), problem)
        if not isinstance(version, int) or version < expected:
            return  # Pages that refer to each other in a cycle give the same rows without end.
        previous = link
        expected = version + 1 if isinstance(version, int) else expected + 1


class IntactStream:
    """A job's events, each checked against the event before it, and what they say for other checks.

    All that is verified of an intact job is so fed by one pass. The pass raises an error at the first
    event that is not intact, or cannot be read: what is wrong is for the other functions to find out.
    """

    def __init__(self, connection: sqlite3.Connection, job_id: str) -> None:
        self._connection = connection
        self._job_id = job_id
        self.count = 0
        self.head = ""
        self.named = NamedBlobs()

    def __iter__(self) -> Iterator[StoredEvent]:
        query = f"SELECT {EVENT_COLUMNS} FROM events WHERE job_id = ? ORDER BY version"
        for row in self._connection.execute(query, (self._job_id,)):
            recorded = row_to_recorded(row)
            # Its types are those that are hashed: it would not have been read otherwise.
            link = event_hash(self.head, row[_HASHED])
            if recorded.version != self.count + 1 or recorded.hash != link:
                raise CorruptLedger(f"event {recorded.version} of {self._job_id} is not intact")
            self.count, self.head = recorded.version, link
            is_removal = recorded.event.type == "blob.removed"
            data = row[_DATA]
            if is_removal or '"sha256"' in data:
                self.named.add(recorded.version, data.encode(), is_removal=is_removal)
            yield recorded, data


def blobs_of(data: bytes) -> set[str]:
    """The digests of the blobs that an event's data names; empty if the data is not JSON."""
    if b'"sha256"' not in data:
        return set()
    try:
        return set(named_blobs(json.loads(data)))
    except (ValueError, RecursionError):
        return set()


def removals_of(data: bytes) -> set[str]:
    """The digests that a `blob.removed` event names; empty if its data is damaged."""
    try:
        return {str(digest) for digest in json.loads(data)["digests"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        return set()


def named_blobs(value: Any) -> Iterator[str]:
    """The digests in an event's parsed data: the `sha256` of payloads and files."""
    if isinstance(value, dict):
        digest = value.get("sha256")
        if isinstance(digest, str) and "size_bytes" in value:
            yield digest
        for item in value.values():
            yield from named_blobs(item)
    elif isinstance(value, list):
        for item in value:
            yield from named_blobs(item)


def blob_state(connection: sqlite3.Connection, digest: str, files: FileStore) -> str:
    """Whether the blob is "missing", "removed" or "changed"; "" if it is intact.

    Of a blob that stands for a file: what is wrong with that file, as the end of a sentence.
    """
    row = connection.execute(
        "SELECT typeof(content), size_bytes, CASE typeof(content) WHEN 'integer' THEN NULL "
        "ELSE CAST(content AS BLOB) END FROM blobs WHERE sha256 = ?",
        (digest,),
    ).fetchone()
    if row is None:
        return "missing"
    kind, size_bytes, content = row
    if kind == "integer":
        return "removed"
    if kind == "blob" and stands_for_file(content, size_bytes):
        return _file_problem(files, digest, size_bytes)
    if kind not in ("text", "blob") or hashlib.sha256(content).hexdigest() != digest:
        return "changed"
    return "" if size_bytes == len(content) else "changed"


def _file_problem(files: FileStore, digest: str, size_bytes: int) -> str:
    """What is wrong with a file of the store; it is read in parts."""
    try:
        if sum(len(part) for part in files.chunks(digest)) == size_bytes:
            return ""
    except LedgerError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename or files.path} cannot be read: {error.strerror or error}"
    return f"its size is not the recorded one of {count_text(size_bytes, 'byte')}"


def check_blobs(
    connection: sqlite3.Connection, job_id: str, *, checked: set[str], files: FileStore
) -> Iterator[str]:
    """Problems of the blobs that the job's events name, except the digests in `checked`.

    Adds the digests of intact blobs to `checked`. `files` are the large files beside the ledger.
    """
    named = NamedBlobs()
    rows = connection.execute(
        "SELECT version, type = 'blob.removed', CAST(data AS BLOB) FROM events "
        "WHERE job_id = ? ORDER BY version",
        (job_id,),
    )
    before = 0
    for version, is_removal, data in rows:
        if not isinstance(version, int) or version <= before:
            break  # See `walk_chain`, which reports it.
        before = version
        named.add(version, bytes(data or b""), is_removal=bool(is_removal))
    yield from named.problems(connection, checked=checked, files=files)


class NamedBlobs(Struct):
    """The blobs that the events of a job name, each with the first event that does."""

    versions: dict[str, int] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    def add(self, version: int, data: bytes, *, is_removal: bool) -> None:
        """Add those of the job's next event."""
        if is_removal:
            self.removed |= removals_of(data)
        for digest in sorted(blobs_of(data)):
            self.versions.setdefault(digest, version)

    def problems(
        self, connection: sqlite3.Connection, *, checked: set[str], files: FileStore
    ) -> Iterator[str]:
        """What is wrong with them; the arguments are those of `check_blobs`."""
        for digest, version in self.versions.items():
            if digest not in checked:
                yield from self._problem(connection, digest, version, checked, files)

    def _problem(
        self,
        connection: sqlite3.Connection,
        digest: str,
        version: int,
        checked: set[str],
        files: FileStore,
    ) -> Iterator[str]:
        match blob_state(connection, digest, files):
            case "":
                checked.add(digest)
            case "missing":
                yield f"event {version} names blob {digest[:12]}..., which is missing"
            case "changed":
                yield f"blob {digest[:12]}... was changed"
            case "removed":
                if digest not in self.removed:
                    yield (
                        f"event {version} names blob {digest[:12]}..., whose bytes were removed, but "
                        "this job has no blob.removed event for it"
                    )
            case problem:
                yield f"event {version} names the large file {digest[:12]}...: {problem}"


def check_other_blobs(
    connection: sqlite3.Connection, *, checked: set[str], files: FileStore
) -> Iterator[str]:
    """Problems of the blobs that are not in `checked`: no event refers to them."""
    for (digest,) in connection.execute("SELECT CAST(sha256 AS BLOB) FROM blobs").fetchall():
        name = bytes(digest or b"").decode("ascii", "replace")
        if name in checked:
            continue
        match blob_state(connection, name, files):
            case "" | "removed":
                pass
            case "missing" | "changed":
                yield f"blob {name[:12]}... was changed"
            case problem:
                yield f"the large file {name[:12]}...: {problem}"


def find_head(connection: sqlite3.Connection, job_id: str, head: str) -> int:
    """The version of the job's event whose hash begins with `head`; 0 if there is none."""
    row = connection.execute(
        "SELECT version FROM events WHERE job_id = ? AND substr(hash, 1, ?) = ?",
        (job_id, len(head), head),
    ).fetchone()
    return 0 if row is None else int(row[0])


def _matches_hash(previous: str, version: int, columns: list[Any], stored: str) -> bool:
    job_id, type_name, step, attempt, recorded_at, data = columns
    try:
        link = chain_hash(previous, (job_id, version, type_name, step, attempt, recorded_at, data))
    except ValueError:
        return False  # The previous event's stored hash is not hexadecimal.
    return link == stored

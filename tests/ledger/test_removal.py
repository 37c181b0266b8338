"""The bytes of a blob are removed only with an event in each stream that names the blob."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from orc.ledger import Ledger, LedgerReader, OwnerLock, Recorded, removal
from orc.ledger.digest import Digest, digest_bytes
from orc.ledger.errors import OwnedElsewhere, RemovedBlob
from orc.ledger.events import BlobRemoved, FileWritten
from orc.ledger.integrity import check_blobs, check_structure, walk_chain
from orc.ledger.removal import blobs_by_job, compact, has_bytes, remove_blobs
from tests.ledger.support import AT, JOB, OTHER, open_at, raw, rows, submitted

CANARY = b"sk-canary-0123456789 " * 100
SHARED = digest_bytes(CANARY)
OWN = digest_bytes(b"own")


def wrote(version: int, content: bytes, *, job_id: str = JOB) -> Recorded:
    event = FileWritten(
        step="one",
        attempt=1,
        path="demo/a.txt",
        sha256=digest_bytes(content),
        size_bytes=len(content),
        media_type="text/plain",
    )
    return Recorded(type(JOB)(job_id), version, AT, event)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with two jobs that share a blob, one of them with a blob of its own."""
    path = tmp_path / "runs.db"
    with open_at(path) as ledger:
        ledger.append([submitted(), wrote(2, CANARY), wrote(3, b"own")], blobs=[CANARY, b"own"])
        ledger.append([submitted(OTHER), wrote(2, CANARY, job_id=OTHER)], blobs=[CANARY])
    return path


def _remove(ledger: Ledger, *digests: str) -> int:
    wanted = set(digests)
    by_job = blobs_by_job(ledger.connection, wanted=wanted)
    return remove_blobs(ledger, by_job, cause="redact", reason="a key", at=AT)


def _problems(path: Path) -> list[str]:
    with LedgerReader.open(path) as ledger:
        found = list(check_structure(ledger.connection))
        for job_id in (JOB, OTHER):
            found += [
                link.problem for link in walk_chain(ledger.connection, job_id) if link.problem
            ]
            found += check_blobs(ledger.connection, job_id, checked=set(), files=ledger.files)
    return found


def test_a_removal_is_recorded_in_each_stream_that_names_the_blob_and_the_chain_stays(
    path: Path,
) -> None:
    with open_at(path) as ledger:
        assert _remove(ledger, SHARED) == 1
        last = [list(ledger.read_stream(job))[-1] for job in (JOB, OTHER)]
        size = len(CANARY)
        told = BlobRemoved(digests=(SHARED,), size_bytes=size, cause="redact", reason="a key")
        assert [(recorded.version, recorded.event) for recorded in last] == [(4, told), (3, told)]
        assert not ledger.knows_blob(SHARED)
        assert ledger.names_blob(SHARED)
        with pytest.raises(
            RemovedBlob, match=r"orc redact on 2026-01-02 \(event \d of job_.*a key"
        ):
            ledger.read_blob(SHARED)
        assert ledger.read_blob(OWN) == b"own"
    assert _problems(path) == []


def test_after_a_redaction_no_file_of_the_ledger_has_the_bytes(path: Path) -> None:
    # Pages that were freed earlier still have their old content.
    connection = raw(path)
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("CREATE TABLE copies (x)")
    connection.execute("INSERT INTO copies VALUES (?)", (CANARY * 20,))
    connection.execute("DROP TABLE copies")
    connection.close()
    assert _files_with(path, CANARY[:20])
    with open_at(path) as ledger:
        _remove(ledger, SHARED)
        assert compact(ledger)
        assert _files_with(path, CANARY[:20]) == []
    assert _files_with(path, CANARY[:20]) == []


def test_removed_bytes_are_overwritten_even_if_the_file_cannot_be_rewritten(path: Path) -> None:
    with open_at(path) as ledger:
        ledger.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert _files_with(path, CANARY[:20])
        # Some SQLite builds have this setting on by default.
        ledger.connection.execute("PRAGMA secure_delete = OFF")
        _remove(ledger, SHARED)
        ledger.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert _files_with(path, CANARY[:20]) == []


def _files_with(path: Path, needle: bytes) -> list[str]:
    # Another process reads the copy, because closing a descriptor here would release the locks.
    program = (
        "import sys, glob, pathlib\n"
        "needle = bytes.fromhex(sys.argv[2])\n"
        "print('\\n'.join(p for p in glob.glob(sys.argv[1] + '*') if pathlib.Path(p).is_file()"
        " and needle in pathlib.Path(p).read_bytes()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), needle.hex()],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    "statement",
    [
        # No event at that position; one of another type; one that names another blob.
        f"UPDATE blobs SET content = 99 WHERE sha256 = '{OWN}'",
        f"UPDATE blobs SET content = 1 WHERE sha256 = '{OWN}'",
        f"UPDATE blobs SET content = 6 WHERE sha256 = '{OWN}'",
        f"UPDATE blobs SET content = NULL WHERE sha256 = '{OWN}'",
        f"UPDATE blobs SET content = 6, size_bytes = 1 WHERE sha256 = '{SHARED}'",
        f"UPDATE blobs SET content = 7 WHERE sha256 = '{SHARED}'",
        f"INSERT INTO blobs VALUES ('{'e' * 64}', 1, 6)",
        f"INSERT INTO blobs VALUES ('{'e' * 64}', 1, 1.5)",
        "DELETE FROM blobs",
    ],
)
def test_a_blob_cannot_be_emptied_without_a_matching_event(path: Path, statement: str) -> None:
    with open_at(path) as ledger:
        _remove(ledger, SHARED)
    assert rows(path, "SELECT position FROM events WHERE type = 'blob.removed'") == [(6,), (7,)]
    before = rows(path, "SELECT * FROM blobs ORDER BY sha256")
    connection = raw(path)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(statement)
    connection.close()
    assert rows(path, "SELECT * FROM blobs ORDER BY sha256") == before


def test_removed_bytes_can_be_stored_again_and_removed_again(path: Path) -> None:
    with open_at(path) as ledger:
        _remove(ledger, SHARED)
        ledger.append([wrote(5, CANARY)], blobs=[CANARY])
        assert ledger.read_blob(SHARED) == CANARY
        assert _remove(ledger, SHARED) == 1
        assert not ledger.knows_blob(SHARED)
    assert _problems(path) == []


def test_bytes_removed_without_an_event_of_the_job_are_a_problem(path: Path) -> None:
    with open_at(path) as ledger:
        remove_blobs(ledger, {JOB: {SHARED}}, cause="prune", at=AT)
    (problem,) = _problems(path)
    assert problem == (
        f"event 2 names blob {SHARED[:12]}..., whose bytes were removed, but this job has no "
        "blob.removed event for it"
    )


def test_after_a_crash_between_jobs_no_stream_lacks_the_event(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P11 for a removal from many jobs: the bytes are removed with the last job that names them."""
    monkeypatch.setattr(removal, "_JOBS_AT_ONCE", 1)
    with open_at(path) as ledger:
        insert = ledger._insert_events

        def dies_at_the_second(batch: Sequence[Recorded]) -> object:
            if batch[0].job_id == OTHER:
                raise KeyboardInterrupt
            return insert(batch)

        monkeypatch.setattr(ledger, "_insert_events", dies_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            _remove(ledger, SHARED)
        assert has_bytes(ledger.connection, SHARED)
    assert _problems(path) == []
    with open_at(path) as ledger:
        assert _remove(ledger, SHARED) == 1
    assert _problems(path) == []
    rows = sqlite3.connect(path).execute(
        "SELECT job_id, count(*) FROM events WHERE type = 'blob.removed' GROUP BY job_id"
    )
    assert [count for _, count in rows] == [1, 1], "a job has recorded the same removal twice"


def test_nothing_is_removed_from_a_job_with_an_owner(path: Path) -> None:
    lock = OwnerLock(path, OTHER)
    lock.acquire()
    with open_at(path) as ledger:
        with pytest.raises(OwnedElsewhere, match=OTHER):
            _remove(ledger, SHARED)
        assert ledger.read_blob(SHARED) == CANARY
        assert [ledger.head(job).version for job in (JOB, OTHER)] == [3, 2]
    lock.release()


def test_a_removal_of_many_blobs_has_several_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "DIGESTS_MAX", 2)
    contents = [f"blob {number}".encode() for number in range(5)]
    with open_at(tmp_path / "runs.db") as ledger:
        events = [wrote(version, content) for version, content in enumerate(contents, start=2)]
        ledger.append([submitted(), *events], blobs=contents)
        digests = {digest_bytes(content) for content in contents}
        assert remove_blobs(ledger, {JOB: digests}, cause="prune", at=AT) == 5
        told = [r.event for r in ledger.read_stream(JOB) if isinstance(r.event, BlobRemoved)]
    assert [len(event.digests) for event in told] == [2, 2, 1]
    assert {digest for event in told for digest in event.digests} == digests
    assert [Digest(digest) for digest in told[0].digests] == sorted(told[0].digests)

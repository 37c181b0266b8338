"""The hash chain, compared with a second implementation of its definition."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orc.ledger import LedgerReader
from orc.ledger.digest import chain_hash, event_hash
from orc.ledger.events import JobSucceeded, StepFailed
from tests.ledger.support import AT, JOB, OTHER, open_at, raw, rows, skipped, started, submitted

_COLUMNS = ("job_id", "version", "type", "step", "attempt", "recorded_at", "data")


def recomputed_chain(path: Path, job_id: str) -> list[str]:
    """The hashes that the stored bytes of a stream lead to, by nothing but SQL and SHA-256.

    Each is over the previous one's bytes (none before the first) and each column
    with its length in eight bytes, big-endian, before it; null is eight bytes of 0xff.
    """
    columns = ", ".join(f"CAST({name} AS BLOB)" for name in _COLUMNS)
    stream = rows(path, f"SELECT {columns} FROM events WHERE job_id = ? ORDER BY version", job_id)
    found: list[str] = []
    for stored in stream:
        digest = hashlib.sha256(bytes.fromhex(found[-1]) if found else b"")
        for content in stored:
            if content is None:
                digest.update(b"\xff\xff\xff\xff\xff\xff\xff\xff")
            else:
                digest.update(len(content).to_bytes(8, "big"))
                digest.update(content)
        found.append(digest.hexdigest())
    return found


def stored_chain(path: Path, job_id: str) -> list[str]:
    return [
        row[0]
        for row in rows(path, "SELECT hash FROM events WHERE job_id = ? ORDER BY version", job_id)
    ]


def test_each_hash_covers_the_stored_columns_and_the_hash_before_it(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    failed = StepFailed(
        step="\u00fcmlaut", attempt=3, kind="exit_code", message="\u4e2d\u6587\n", duration_s=0.5
    )
    with open_at(path) as ledger:
        ledger.append([submitted(), started(2)])
        ledger.append([skipped(3), submitted(OTHER)])
        ledger.append([type(submitted())(JOB, 4, AT, failed), started(2, job_id=OTHER)])
        assert ledger.head(JOB).hash == recomputed_chain(path, JOB)[-1]
    for job_id, length in ((JOB, 4), (OTHER, 2)):
        assert stored_chain(path, job_id) == recomputed_chain(path, job_id)
        assert len(set(stored_chain(path, job_id))) == length


_texts = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=9),
    st.sampled_from(("x" * 255, "x" * 256, "\x80", "\u00fc" * 200, "y" * 2047, "y" * 70_000)),
)


@given(
    st.sampled_from(("", "0" * 64, "ab" * 32)),
    st.tuples(
        _texts,
        st.integers(1),
        _texts,
        st.none() | _texts,
        st.none() | st.integers(0),
        _texts,
        _texts,
    ),
)
def test_the_hash_of_an_event_is_that_of_its_columns(previous: str, columns: Any) -> None:
    assert event_hash(previous, columns) == chain_hash(previous, columns)
    in_bytes = [one.encode() if isinstance(one, str) else one for one in columns]
    assert event_hash(previous, columns) == chain_hash(previous, in_bytes)


def test_the_chain_continues_after_another_process_opened_the_file(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    for version in range(1, 5):
        with open_at(path) as ledger:
            ledger.append([submitted() if version == 1 else skipped(version)])
    assert stored_chain(path, JOB) == recomputed_chain(path, JOB)


def test_the_same_events_in_another_ledger_have_the_same_hashes(tmp_path: Path) -> None:
    one, two = tmp_path / "one.db", tmp_path / "two.db"
    with open_at(one) as ledger:
        ledger.append([submitted(), started(2)])
    with open_at(two) as ledger:
        ledger.append([submitted(OTHER)])
        ledger.append([submitted(), started(2)])
    assert stored_chain(one, JOB) == stored_chain(two, JOB)


def test_a_changed_column_does_not_match_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    for column, value in (
        ("type", "job.resumed"),
        ("step", "x"),
        ("attempt", 1),
        ("recorded_at", "2027"),
        ("data", '{"owner":{"host":"other","pid":1}}'),
    ):
        path.unlink(missing_ok=True)
        with open_at(path) as ledger:
            ledger.append([submitted(), started(2)])
        connection = raw(path)
        connection.execute("DROP TRIGGER events_no_update")
        connection.execute(f"UPDATE events SET {column} = ? WHERE version = 2", (value,))
        connection.close()
        assert stored_chain(path, JOB)[0] == recomputed_chain(path, JOB)[0]
        assert stored_chain(path, JOB)[1] != recomputed_chain(path, JOB)[1], column


def test_moving_bytes_between_columns_changes_the_hash(tmp_path: Path) -> None:
    """`step` "ab" with type "c" and `step` "b" with type "ca" are different events."""
    path = tmp_path / "runs.db"
    with open_at(path) as ledger:
        ledger.append([submitted(), skipped(2, step="ab"), submitted(OTHER)])
        ledger.append([skipped(2, job_id=OTHER, step="a")])
    assert len(set(stored_chain(path, JOB) + stored_chain(path, OTHER))) == 4


def test_a_reader_gives_each_event_its_stored_hash(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with open_at(path) as ledger:
        ledger.append([submitted(), type(submitted())(JOB, 2, AT, JobSucceeded())])
    with LedgerReader.open(path) as reader:
        assert [r.hash for r in reader.read_stream(JOB)] == recomputed_chain(path, JOB)

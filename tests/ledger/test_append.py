"""Appending: versions, conflicts, atomic transactions, and a file that is deleted or replaced."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orc.ledger import LedgerReader
from orc.ledger.errors import StorageError, VersionConflict
from tests.ledger.support import (
    JOB,
    OTHER,
    Tally,
    open_at,
    rows,
    skipped,
    started,
    submitted,
)


def test_events_come_back_as_they_were_appended(tmp_path: Path) -> None:
    batch = [submitted(), started(2), skipped(3)]
    with open_at(tmp_path / "runs.db") as ledger:
        ledger.append(batch)
        stored = list(ledger.read_stream(JOB))
    assert [(r.job_id, r.version, r.recorded_at, r.event) for r in stored] == [
        (r.job_id, r.version, r.recorded_at, r.event) for r in batch
    ]
    assert [r.position for r in stored] == [1, 2, 3]


def test_a_stream_can_be_read_after_a_version(tmp_path: Path) -> None:
    with open_at(tmp_path / "runs.db") as ledger:
        ledger.append([submitted(), started(2), skipped(3)])
        assert [r.version for r in ledger.read_stream(JOB, after=1)] == [2, 3]
        assert list(ledger.read_stream(OTHER)) == []


def test_one_batch_may_hold_several_streams(tmp_path: Path) -> None:
    with open_at(tmp_path / "runs.db") as ledger:
        ledger.append([submitted(), submitted(OTHER), started(2), started(2, job_id=OTHER)])
        assert [r.version for r in ledger.read_stream(JOB)] == [1, 2]
        assert [r.version for r in ledger.read_stream(OTHER)] == [1, 2]
        assert [(r.job_id, r.position) for r in ledger.read_all(after=1)] == [
            (OTHER, 2),
            (JOB, 3),
            (OTHER, 4),
        ]


@pytest.mark.parametrize("version", [1, 2, 4, 9])
def test_an_event_that_does_not_follow_the_head_is_refused(tmp_path: Path, version: int) -> None:
    with open_at(tmp_path / "runs.db") as ledger:
        ledger.append([submitted(), started(2)])
        with pytest.raises(VersionConflict):
            ledger.append([skipped(version)])
        assert [r.version for r in ledger.read_stream(JOB)] == [1, 2]


def test_a_gap_within_a_batch_leaves_nothing_of_the_batch(tmp_path: Path) -> None:
    with open_at(tmp_path / "runs.db") as ledger:
        with pytest.raises(VersionConflict):
            ledger.append([submitted(), started(3)])
        assert list(ledger.read_all()) == []


def test_of_two_writers_at_the_same_version_the_second_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with open_at(path) as first, open_at(path) as second:
        first.append([submitted()])
        second.append([started(2)])
        with pytest.raises(VersionConflict, match="another process has appended"):
            first.append([skipped(2)])
        assert [r.event.type for r in first.read_stream(JOB)] == ["job.submitted", "job.started"]


def test_a_writer_continues_after_another_writers_append(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with open_at(path) as first, open_at(path) as second:
        first.append([submitted()])
        second.append([started(2)])
        assert first.head(JOB).version == 2
        first.append([skipped(3)])
        second.append([skipped(4, step="two")])
        assert [r.version for r in first.read_stream(JOB)] == [1, 2, 3, 4]


def test_after_a_conflict_the_writer_can_continue_from_the_current_head(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with open_at(path) as first, open_at(path) as second:
        first.append([submitted()])
        second.append([started(2)])
        with pytest.raises(VersionConflict):
            first.append([skipped(2)])
        first.append([skipped(3)])
        assert first.head(JOB).version == 3


def test_a_projector_that_raises_leaves_neither_event_nor_blob_nor_row(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    projector = Tally()
    with open_at(path, projector=projector) as ledger:
        ledger.append([submitted()])
        projector.refuses = True
        with pytest.raises(RuntimeError, match="refuses"):
            ledger.append([started(2)], blobs=[b"never"])
        projector.refuses = False
        assert rows(path, "SELECT events FROM tally") == [(1,)]
        assert rows(path, "SELECT count(*) FROM blobs") == [(0,)]
        ledger.append([started(2)])
        assert [r.version for r in ledger.read_stream(JOB)] == [1, 2]


def test_what_was_appended_survives_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with open_at(path) as ledger:
        ledger.append([submitted()])
    with LedgerReader.open(path) as reader:
        assert reader.head(JOB).version == 1


def test_a_deleted_ledger_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with open_at(path) as ledger:
        ledger.append([submitted()])
        path.unlink()
        with pytest.raises(StorageError, match="deleted or replaced"):
            ledger.append([started(2)])
        assert not path.exists()


def test_a_replaced_ledger_is_not_written(tmp_path: Path) -> None:
    path, other = tmp_path / "runs.db", tmp_path / "other.db"
    with open_at(other) as ledger:
        ledger.append([submitted(OTHER)])
    with open_at(path) as ledger:
        ledger.append([submitted()])
        shutil.move(other, path)
        with pytest.raises(StorageError, match="deleted or replaced"):
            ledger.append([started(2)])


def test_a_rebuild_gives_the_same_rows_as_the_appends(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with open_at(path) as ledger:
        ledger.append([submitted(), submitted(OTHER)])
        ledger.append([started(2)])
        before = rows(path, "SELECT * FROM tally ORDER BY job_id")
        ledger.connection.execute("UPDATE tally SET events = 99")
        assert ledger.rebuild() == 3
        assert rows(path, "SELECT * FROM tally ORDER BY job_id") == before


def test_opening_with_a_newer_projector_rebuilds_the_read_model(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with open_at(path) as ledger:
        ledger.append([submitted(), started(2)])
        ledger.connection.execute("UPDATE tally SET events = 99")
    open_at(path).close()
    assert rows(path, "SELECT events FROM tally") == [(99,)]
    open_at(path, projector=Tally(version=2)).close()
    assert rows(path, "SELECT events FROM tally") == [(2,)]

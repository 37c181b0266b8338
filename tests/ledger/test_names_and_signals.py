"""Finding a job by a part of its id, and the signals of other processes to its owner."""

from __future__ import annotations

from pathlib import Path

import pytest

from orc.ledger import JobId, LedgerReader
from orc.ledger.errors import NoSuchJob
from tests.ledger.support import AT, JOB, OTHER, open_at, submitted

JOBS = [JobId(f"job_{name}") for name in ("k000000000a1", "k000000000b2", "k0000000abb3")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with open_at(tmp_path / "runs.db") as ledger:
        for job_id in JOBS:
            ledger.append([submitted(job_id)])
    return tmp_path / "runs.db"


@pytest.mark.parametrize(
    ("name", "job"),
    [
        ("latest", 2),
        ("job_k000000000a1", 0),
        ("a1", 0),
        ("A1", 0),
        ("000b", 1),
        ("bb3", 2),
    ],
)
def test_a_job_is_found_by_its_id_by_any_unique_part_and_as_the_latest(
    path: Path, name: str, job: int
) -> None:
    with LedgerReader.open(path) as reader:
        assert reader.find_job(name) == JOBS[job]


@pytest.mark.parametrize("name", ["", "zzz", "%", "_", "job_k000000000a12"])
def test_the_error_for_a_name_without_a_single_job_says_why(path: Path, name: str) -> None:
    reasons = r"no job in|matches several jobs"
    with LedgerReader.open(path) as reader, pytest.raises(NoSuchJob, match=reasons):
        reader.find_job(name)


def test_the_error_for_an_ambiguous_name_lists_the_jobs(path: Path) -> None:
    with LedgerReader.open(path) as reader, pytest.raises(NoSuchJob) as caught:
        reader.find_job("b")
    assert JOBS[1] in str(caught.value)
    assert JOBS[2] in str(caught.value)


def test_latest_without_any_job_says_how_to_submit_one(tmp_path: Path) -> None:
    with (
        open_at(tmp_path / "runs.db") as ledger,
        pytest.raises(NoSuchJob, match="orc run SPEC"),
    ):
        ledger.find_job("latest")


def test_signals_are_read_by_job_in_the_order_in_which_they_were_sent(path: Path) -> None:
    with open_at(path) as sender, LedgerReader.open(path) as owner:
        first = sender.send_signal(JOB, kind="cancel", data={"reason": "enough"}, created_at=AT)
        other = sender.send_signal(OTHER, kind="cancel", data={}, created_at=AT)
        second = sender.send_signal(JOB, kind="cancel", data={}, created_at=AT)
        assert first < other < second
        assert [signal.id for signal in owner.read_signals(JOB)] == [first, second]
        assert owner.read_signals(JOB)[0].data == {"reason": "enough"}
        assert [signal.id for signal in owner.read_signals(JOB, after=first)] == [second]
        assert owner.read_signals(JOB, after=second) == []

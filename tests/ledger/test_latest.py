"""`latest` is the job that was submitted last, and finding it does not read the events of large jobs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orc.ledger import names
from orc.ledger.errors import NoSuchJob

JOBS = [f"job_00000000000{n}" for n in (3, 1, 2, 0)]


def events_of(jobs: list[int]) -> sqlite3.Connection:
    """A table with an event of one of the jobs at each position, in this order."""
    connection = sqlite3.connect(":memory:")
    connection.execute(
        "CREATE TABLE events (position INTEGER PRIMARY KEY, job_id TEXT NOT NULL, "
        "version INTEGER NOT NULL, UNIQUE (job_id, version)) STRICT"
    )
    for at, job in enumerate(jobs):
        version = jobs[: at + 1].count(job)
        row = (JOBS[job], version)
        connection.execute("INSERT INTO events (job_id, version) VALUES (?, ?)", row)
    return connection


def steps_of_latest(connection: sqlite3.Connection) -> int:
    """How many instructions SQLite executes until it has found the latest job."""
    done = 0

    def count() -> None:
        nonlocal done
        done += 1

    connection.set_progress_handler(count, 1)
    names.find_job(connection, "latest", path=Path("runs.db"))
    return done


@given(
    jobs=st.lists(st.integers(0, len(JOBS) - 1), max_size=12),
    back=st.integers(0, 4),
    recent=st.integers(0, 12),
)
def test_latest_is_the_job_whose_first_event_is_last(
    jobs: list[int], back: int, recent: int
) -> None:
    submitted = list(dict.fromkeys(jobs))[::-1]
    with closing(events_of(jobs)) as connection, patch.object(names, "_RECENT_EVENTS", recent):
        if back < len(submitted):
            found = names.find_job(connection, f"latest~{back}", path=Path("runs.db"))
            assert found == JOBS[submitted[back]]
        else:
            with pytest.raises(NoSuchJob):
                names.find_job(connection, f"latest~{back}", path=Path("runs.db"))


def test_latest_costs_the_same_after_a_job_with_ten_times_the_events() -> None:
    with patch.object(names, "_RECENT_EVENTS", 10):
        small, large = (
            steps_of_latest(events_of([0, *([1] * count), *([2] * count)])) for count in (30, 300)
        )
    assert large == small

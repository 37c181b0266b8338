"""The column `queued` says which jobs are in the queue, also after a rebuild in one batch."""

from __future__ import annotations

from pathlib import Path

import pytest

from orc.ledger import open_ledger
from orc.ledger.events import (
    AnyEvent,
    JobCancelled,
    JobInterrupted,
    JobStarted,
    JobSucceeded,
    JobWaiting,
    QueuedRun,
)
from orc.ledger.secrets.masking import NO_MASK
from orc.projections import ReadModel
from orc.scheduler.core.fold.queued_job import takeable_at
from tests.builders import OWNER, amended, fold_recorded, job, record, resumed, step, submitted

DEFINITION = job(step("a"))
TAKEN = JobStarted(owner=OWNER, from_queue=True)
AGAIN = resumed(from_queue=True)
BACK = JobInterrupted(signal="SIGTERM", queue="back")
WAITS = JobWaiting(reason="approval", steps=("a",))


@pytest.mark.parametrize(
    ("events", "queued"),
    [
        ([], 1),
        ([TAKEN], 1),
        ([TAKEN, BACK], 1),
        ([TAKEN, BACK, AGAIN, BACK], 1),
        ([TAKEN, BACK, AGAIN, WAITS], 1),
        ([TAKEN, BACK, resumed()], 0),
        ([TAKEN, BACK, AGAIN, JobInterrupted(queue="left", crashes=3)], 0),
        ([TAKEN, JobInterrupted()], 0),
        ([JobStarted(owner=OWNER)], 0),
        ([TAKEN, BACK, amended(DEFINITION, "a")], 0),
        ([TAKEN, JobSucceeded()], 0),
        ([JobCancelled()], 0),
    ],
)
def test_the_column_follows_the_events(tmp_path: Path, events: list[AnyEvent], queued: int) -> None:
    stream = record([submitted(DEFINITION, queued=QueuedRun()), *events])
    with open_ledger(
        tmp_path / "runs.db", projector=ReadModel(), mask=NO_MASK, create=True
    ) as ledger:
        found = []
        for recorded in stream:
            ledger.append([recorded])
        found.append(ledger.connection.execute("SELECT queued FROM jobs").fetchone()[0])
        ledger.rebuild()
        found.append(ledger.connection.execute("SELECT queued FROM jobs").fetchone()[0])
    assert found == [queued, queued]
    # The fold, by which a worker decides, agrees.
    state = fold_recorded(DEFINITION, stream)
    assert state.is_queued == bool(queued)
    assert (takeable_at(state) is not None) == (queued and state.status != "waiting")

"""A job of the queue on the pages and in Datasette's tables: queued while no process runs it."""

from __future__ import annotations

import re
from pathlib import Path

from orc.ledger import OwnerLock
from orc.ledger.events import AnyEvent, JobStarted, QueuedRun
from tests.builders import JOB, OWNER, job, record, started, step, submitted
from tests.projections.served import Get, browse
from tests.projections.support import open_in

SENTENCE = "queued: no worker has taken it; start one with <code>orc work"


def test_a_queued_job_is_counted_listed_and_explained(tmp_path: Path) -> None:
    definition = job(step("a"))
    events: list[AnyEvent] = [
        submitted(definition, queued=QueuedRun()),
        JobStarted(owner=OWNER, from_queue=True),
        started("a"),
    ]
    with open_in(tmp_path) as ledger:
        # A worker took it and died: the step was running.
        ledger.append(record(events))

    async def look(get: Get) -> None:
        home = (await get("/-/orc/runs")).text
        assert re.search(r"<dt>Queued</dt><dd><a [^>]*>1</a>", home)
        assert JOB in (await get("/-/orc/runs?status=queued")).text
        for other in ("interrupted", "running"):
            assert f'<tr data-job="{JOB}"' not in (await get(f"/-/orc/runs?status={other}")).text
        page = (await get(f"/-/orc/runs/{JOB}")).text
        assert SENTENCE in page
        assert "orc resume" not in page
        # The attempt is not shown as running.
        assert "g-interrupted" in page
        assert SENTENCE in (await get(f"/-/orc/runs/{JOB}/step/a")).text
        assert ">queued</span>" in (await get(f"/runs/jobs/{JOB}")).text
        lock = OwnerLock(tmp_path / "runs.db", JOB)
        lock.acquire()
        assert SENTENCE not in (await get(f"/-/orc/runs/{JOB}")).text
        assert ">queued</span>" not in (await get(f"/runs/jobs/{JOB}")).text
        lock.release()

    browse(tmp_path / "runs.db", then=look)

"""A step that no worker can ever perform fails with what is missing, whichever limit ends its wait."""

from __future__ import annotations

from typing import Any

import pytest

from orc.ledger.events import StepFailed
from orc.scheduler.executors.contract import EngineSeen
from orc.scheduler.executors.remote import RemoteExecutor
from tests.builders import job, step
from tests.executors.scripted_engine import ScriptedEngine
from tests.model import Plan
from tests.scheduler.harness import stand_for

HINT = "(`orc executors` shows what workers have)"


@pytest.mark.parametrize("limit", ["queue_timeout_s", "total_timeout_s", "timeout_s"])
@pytest.mark.parametrize(
    ("workers", "missing"),
    [
        ({}, f": there are no workers {HINT}"),
        ({"w1": {"cpu": 4.0, "slots": 1.0}}, f": 0 of 1 worker has gpu {HINT}"),
        ({"w1": {"cpu": 4.0, "gpu": 1.0, "slots": 1.0}}, ""),
    ],
)
def test_a_wait_that_was_in_vain_names_what_no_worker_has(
    limit: str, workers: dict[str, dict[str, float]], missing: str
) -> None:
    wait: dict[str, Any] = {} if limit == "timeout_s" else {limit: 5.0}
    asks = step("a", kind="run", run="true", executor="cluster", labels=("gpu",), **wait)
    engine = ScriptedEngine()
    engine.say(EngineSeen("engine-1", workers))
    made = job(asks, timeout_s=5.0 if limit == "timeout_s" else None)
    with stand_for(Plan(()), made) as stand:
        stand.run(executors=[RemoteExecutor("cluster", engine)])
        events = [recorded.event for recorded in stand.stream()]
    (message,) = [event.message for event in events if isinstance(event, StepFailed)]
    before = {
        "queue_timeout_s": "no worker took it within 5 s, its queue_timeout on 'cluster'",
        "total_timeout_s": "the step's total_timeout of 5 s is over",
        "timeout_s": "the job's timeout of 5 s is over",
    }
    assert message == before[limit] + missing

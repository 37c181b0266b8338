"""What happened while orc was away counts if it was in time: replies, last steps, decisions.

The clock jumps while everything waits, as it does for a process that was suspended.
"""

from __future__ import annotations

from typing import cast

import pytest
import trio
from trio.testing import MockClock

from orc.ledger import Ledger
from orc.scheduler.runner import Runner
from tests.builders import at
from tests.model import Plan, Task, Try
from tests.scheduler.flows import job_of, statuses
from tests.scheduler.harness import empty_stand, stand_for
from tests.scheduler.scripted import ScriptedModel

ASKS = """
project: demo
steps:
  slow: {prompt: Take your time., provider: alpha, model: m}
  gate:
    approval: {message: Now?, options: [approve, reject], timeout: 5.1s, on_timeout: reject}
"""


async def away(runner: Runner, ledger: Ledger) -> None:
    """Be away for a minute, soon."""
    await trio.sleep(0.125)
    clock = cast(MockClock, trio.lowlevel.current_clock())
    clock.jump(60.0)
    await trio.sleep(1000)


@pytest.mark.parametrize("limit", ["attempt", "step", "job"])
@pytest.mark.parametrize("in_time", [True, False])
def test_a_reply_that_arrived_meanwhile_counts_and_a_later_one_does_not(
    limit: str, in_time: bool
) -> None:
    task = Task(
        "asks",
        tries=(Try(0.25 if in_time else 100.0),),
        timeout_s=1.0 if limit == "attempt" else 1000.0,
        total_timeout_s=1.0 if limit == "step" else 1000.0,
    )
    plan = Plan((task,), timeout_s=1.0 if limit == "job" else 1000.0)
    with stand_for(plan) as stand:
        state = stand.run(beside=away)
    assert state.status == ("succeeded" if in_time else "failed")


def test_a_job_whose_time_is_over_starts_nothing_more() -> None:
    tasks = (
        Task("asks", tries=(Try(0.25),)),
        Task("after", needs=("asks",), tries=(Try(0.25),)),
    )
    with stand_for(Plan(tasks, timeout_s=1.0)) as stand:
        state = stand.run(beside=away)
        started = [one.event.step for one in stand.stream() if one.event.type == "step.started"]
    assert started == ["asks"]
    assert statuses(state) == {"asks": "succeeded", "after": "skipped"}


@pytest.mark.parametrize(
    ("is_sent", "is_away", "status"),
    [(True, True, "succeeded"), (True, False, "succeeded"), (False, True, "failed")],
)
def test_a_decision_that_nobody_has_read_is_taken_before_the_question_expires(
    is_sent: bool, is_away: bool, status: str
) -> None:
    plan = Plan((Task("slow", tries=(Try(200.0),)),))
    models = {"alpha": ScriptedModel("alpha", plan)}

    async def decided_meanwhile(runner: Runner, ledger: Ledger) -> None:
        # After the last look at the signals before the end of the question.
        await trio.sleep(5.05)
        if is_sent:
            data = {"step": "gate", "option": "approve", "by": "ann"}
            ledger.send_signal(stand.job_id, kind="decide", data=data, created_at=at(5.05))
        if is_away:
            cast(MockClock, trio.lowlevel.current_clock()).jump(60.0)
        await trio.sleep(1000)

    with empty_stand(plan, job_of(ASKS), models) as stand:
        stand.submit()
        state = stand.run(beside=decided_meanwhile)
    assert statuses(state)["gate"] == status

"""A step that becomes due while the loop is busy starts without further waiting."""

from __future__ import annotations

from collections.abc import Sequence

import trio
from trio.testing import MockClock

from orc.ledger import Recorded
from orc.ledger.events import StepFailed
from tests.model import Plan, Task, Try
from tests.scheduler.harness import stand_for


def test_a_circuit_whose_cooldown_ends_during_a_slow_commit_lets_a_step_start() -> None:
    plan = Plan(
        (Task("a", tries=(Try(kind="timeout"),)), Task("b")),
        total=1,
        threshold=1,
        cooldown_s=5.0,
    )

    def observe(now: float, batch: Sequence[Recorded]) -> None:
        if any(isinstance(recorded.event, StepFailed) for recorded in batch):
            clock = trio.lowlevel.current_clock()
            assert isinstance(clock, MockClock)
            clock.jump(plan.cooldown_s + 1.0)

    with stand_for(plan) as stand:
        state = stand.run(observe=observe)
    assert state.steps["b"].status == "succeeded"

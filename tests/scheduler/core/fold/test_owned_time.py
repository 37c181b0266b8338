"""The time of all owners of a job counts against its timeout."""

from __future__ import annotations

from orc.ledger.events import AnyEvent, JobInterrupted, JobStarted
from orc.scheduler.core.fold.evolve import evolve
from tests.builders import OWNER, job, new_state, record, resumed, step, submitted


def test_the_time_of_each_owner_is_added() -> None:
    definition = job(step("a", value=1))
    state = new_state(definition)
    seconds = [0.0, 0.0, 5.0, 100.0, 107.0]
    stop = JobInterrupted(signal="SIGTERM")
    events: list[AnyEvent] = [submitted(definition), JobStarted(owner=OWNER), stop, resumed(), stop]
    for number, (event, at) in enumerate(zip(events, seconds, strict=True)):
        [recorded] = record([event], after=number, seconds=at)
        evolve(state, recorded)

    assert state.owned_s == 12.0

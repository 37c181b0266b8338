"""Limits that the jobs of one process share: of several limits on a provider, the smallest holds."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field

import trio
from trio.testing import MockClock

from orc.ledger.definition import RateDef
from orc.scheduler.rates import Rates, SharedLimits

MANY = 1_000_000


@dataclass
class Job:
    """A job's limits; `woken` counts how often another job made room for it."""

    shared: SharedLimits
    per_min: float | None = None
    slots: int | None = None
    woken: int = 0
    rates: Rates = field(init=False)

    def __post_init__(self) -> None:
        def wake() -> None:
            self.woken += 1

        self.rates = Rates(
            {} if self.per_min is None else {"p": RateDef(requests_per_min=self.per_min)},
            {} if self.slots is None else {"p": self.slots},
            self.shared,
            on_room=wake,
        )

    def start(self, *steps: str) -> None:
        for step in steps:
            assert self.rates.room("p") > 0
            self.rates.reserve("p", step)


async def test_steps_of_all_jobs_count_and_the_smallest_limit_holds() -> None:
    shared = SharedLimits()
    one, other = Job(shared, slots=3), Job(shared, slots=2)
    assert one.rates.room("p") == 2
    one.start("a")
    # The same name of a step in another job is another step.
    other.start("a")
    assert (one.rates.room("p"), other.rates.room("p")) == (0, 0)
    assert one.rates.next_at() == math.inf
    other.rates.release("a")
    assert (one.rates.room("p"), one.woken, other.woken) == (1, 1, 0)


async def test_a_job_without_limits_keeps_those_of_the_others_also_for_earlier_steps() -> None:
    shared = SharedLimits()
    free = Job(shared)
    free.start("a", "b")
    assert free.rates.room("p") > MANY
    strict = Job(shared, slots=2)
    assert (free.rates.room("p"), strict.rates.room("p")) == (0, 0)
    free.rates.release("a")
    assert strict.woken == 1
    strict.start("c")
    strict.rates.close()
    assert free.rates.room("p") > MANY


async def test_a_job_that_ends_takes_its_limit_and_its_steps_with_it() -> None:
    shared = SharedLimits()
    one, other = Job(shared, slots=1), Job(shared, slots=2)
    one.start("a")
    assert other.rates.room("p") == 0
    one.rates.close()
    assert other.woken >= 1
    assert other.rates.room("p") == 2
    one.rates.close()
    assert other.rates.room("p") == 2


async def test_a_job_that_waits_for_nothing_is_not_woken() -> None:
    shared = SharedLimits()
    one, other = Job(shared, slots=2), Job(shared, slots=2)
    one.start("a")
    other.start("b")
    other.rates.release("b")
    other.rates.release("b")
    assert (one.woken, other.woken) == (0, 0)


async def test_steps_that_call_no_model_need_no_slot() -> None:
    one = Job(SharedLimits(), slots=1)
    one.start("a")
    assert one.rates.room("") == sys.maxsize
    one.rates.reserve("", "b")
    one.rates.release("b")


async def test_calls_of_all_jobs_count_in_every_minute(autojump_clock: MockClock) -> None:
    shared = SharedLimits()
    one, other = Job(shared, per_min=10), Job(shared, per_min=2)
    one.start("a")
    await one.rates.admit("p", "a")
    await trio.sleep(1.0)
    other.start("a")
    await other.rates.admit("p", "a")
    assert (one.rates.room("p"), one.rates.next_at()) == (0, 60.0)
    with trio.fail_after(100.0):
        await other.rates.admit("p", "a")
        assert trio.current_time() == 60.0
        await one.rates.admit("p", "a")
        assert trio.current_time() == 61.0


async def test_a_call_goes_when_the_job_with_the_smaller_rate_has_ended(
    autojump_clock: MockClock,
) -> None:
    shared = SharedLimits()
    one, other = Job(shared, per_min=2), Job(shared, per_min=1)
    one.start("a")
    await one.rates.admit("p", "a")
    sent: list[float] = []

    async def call() -> None:
        await one.rates.admit("p", "a")
        sent.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await trio.sleep(5.0)
        other.rates.close()
    assert sent == [5.0]


async def test_a_place_that_another_job_gives_back_lets_this_one_start(
    autojump_clock: MockClock,
) -> None:
    shared = SharedLimits()
    one, other = Job(shared, per_min=1), Job(shared, per_min=1)
    one.start("a")
    assert other.rates.room("p") == 0
    assert other.rates.next_at() == math.inf
    one.rates.release("a")
    assert other.woken == 1
    assert other.rates.room("p") == 1

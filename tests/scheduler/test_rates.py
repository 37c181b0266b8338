"""Rate limits, on the tests' clock: they hold over every window, and no call waits for ever."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from trio.testing import MockClock

from orc.ledger import Recorded
from orc.ledger.definition import RateDef
from orc.ledger.events import StepStarted
from orc.scheduler.rates import FIRST_TOKENS, WINDOW_S, Rates
from tests.builders import EPOCH_S
from tests.model import Plan, Task
from tests.scheduler.harness import definition_of, stand_for
from tests.scheduler.profiles import bounded
from tests.strategies import eighths

CALLS = RateDef(requests_per_min=3)
TOKENS = RateDef(tokens_per_min=1000)
WAIT_S_MAX = 100_000.0


def rates(rate: RateDef = CALLS) -> Rates:
    return Rates({"p": rate})


def start(found: Rates, step: str) -> None:
    """Start a step as the runner does: only if there is room."""
    assert found.room("p") > 0
    found.reserve("p", step)


async def ask(found: Rates, step: str, tokens: int | None = None) -> float:
    """Make one call of a step that ends at once; return the time at which it was sent."""
    await found.admit("p", step)
    sent_at = trio.current_time()
    found.settle(step, tokens)
    return sent_at


async def test_a_provider_without_a_rate_has_no_waits(autojump_clock: MockClock) -> None:
    for found in (Rates({}), rates(RateDef())):
        for number in range(100):
            start(found, f"s{number}")
            assert await ask(found, f"s{number}") == 0.0
        assert found.next_at() == math.inf


async def test_a_minutes_calls_are_sent_at_once_and_the_next_a_minute_after_the_first(
    autojump_clock: MockClock,
) -> None:
    found = rates()
    for step in "abc":
        start(found, step)
        await ask(found, step)
        await trio.sleep(1.0)
    assert found.room("p") == 0
    assert found.next_at() == 60.0
    await trio.sleep_until(60.0)
    assert found.room("p") == 1


async def test_a_start_holds_a_place_until_its_first_call(autojump_clock: MockClock) -> None:
    found = rates()
    for step in "abc":
        start(found, step)
    await trio.sleep(100.0)
    assert found.room("p") == 0
    assert found.next_at() == math.inf
    found.release("a")
    assert found.room("p") == 1


async def test_a_call_counts_from_when_it_is_sent_however_long_ago_its_step_began(
    autojump_clock: MockClock,
) -> None:
    found = rates(RateDef(requests_per_min=1))
    start(found, "a")
    await trio.sleep(50.0)
    assert await ask(found, "a") == 50.0
    await trio.sleep(10.0)
    assert found.room("p") == 0
    assert found.next_at() == 110.0


async def test_a_later_call_of_a_step_waits_for_room(autojump_clock: MockClock) -> None:
    found = rates(RateDef(requests_per_min=1))
    start(found, "a")
    assert [await ask(found, "a") for _ in range(3)] == [0.0, 60.0, 120.0]


async def test_a_call_goes_as_soon_as_a_place_is_given_back(autojump_clock: MockClock) -> None:
    found = rates(RateDef(requests_per_min=2))
    start(found, "a")
    await ask(found, "a")
    start(found, "b")
    sent: list[float] = []

    async def again() -> None:
        sent.append(await ask(found, "a"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(again)
        await trio.sleep(5.0)
        found.release("b")
    assert sent == [5.0]


async def test_calls_of_running_steps_come_before_new_starts(autojump_clock: MockClock) -> None:
    found = rates(RateDef(requests_per_min=1))
    start(found, "a")
    await ask(found, "a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, found, "a")
        await trio.testing.wait_all_tasks_blocked()
        assert found.room("p") == 0
        await trio.sleep_until(60.0)
        assert found.room("p") == 0


async def test_calls_that_wait_go_in_the_order_in_which_they_came(
    autojump_clock: MockClock,
) -> None:
    found = rates(RateDef(requests_per_min=1))
    start(found, "a")
    await ask(found, "a")
    order: list[tuple[str, float]] = []

    async def later(step: str) -> None:
        order.append((step, await ask(found, step)))

    async with trio.open_nursery() as nursery:
        for step in "bcd":
            nursery.start_soon(later, step)
            await trio.sleep(1.0)
    assert order == [("b", 60.0), ("c", 120.0), ("d", 180.0)]


async def test_a_call_that_is_given_up_while_it_waits_lets_the_next_one_go(
    autojump_clock: MockClock,
) -> None:
    found = rates(RateDef(requests_per_min=1))
    start(found, "a")
    await ask(found, "a")
    async with trio.open_nursery() as nursery:

        async def impatient() -> None:
            with trio.move_on_after(10.0):
                await ask(found, "b")

        nursery.start_soon(impatient)
        await trio.sleep(1.0)
        assert await ask(found, "c") == 60.0


@pytest.mark.parametrize("rate", [RateDef(requests_per_min=0.5), RateDef(tokens_per_min=1)])
async def test_a_limit_below_one_call_lets_single_calls_through_one_a_minute(
    rate: RateDef, autojump_clock: MockClock
) -> None:
    found = rates(rate)
    start(found, "a")
    assert found.room("p") == 0
    assert [await ask(found, "a", 5000) for _ in range(3)] == [0.0, 60.0, 120.0]


async def test_the_first_calls_are_taken_to_need_a_thousand_tokens(
    autojump_clock: MockClock,
) -> None:
    found = rates(RateDef(tokens_per_min=3 * FIRST_TOKENS))
    assert found.room("p") == 3


async def test_the_mean_of_the_replies_tells_how_many_more_calls_may_go(
    autojump_clock: MockClock,
) -> None:
    found = rates(TOKENS)
    for tokens in (100, 300):
        start(found, "a")
        await ask(found, "a", tokens)
    # 400 of 1000 tokens are used, and the mean is 200.
    assert found.room("p") == 3
    start(found, "b")
    assert found.room("p") == 2
    await found.admit("p", "b")
    found.settle("b", 550)
    assert found.room("p") == 0
    await trio.sleep_until(60.0)
    assert found.room("p") == 3


async def test_a_call_that_waits_goes_as_soon_as_a_reply_was_shorter_than_foretold(
    autojump_clock: MockClock,
) -> None:
    found = rates(TOKENS)
    start(found, "a")
    await found.admit("p", "a")
    sent: list[float] = []

    async def later() -> None:
        sent.append(await ask(found, "b"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(later)
        await trio.sleep(5.0)
        found.settle("a", 100)
    assert sent == [5.0]


async def test_room_for_a_large_call_comes_when_enough_of_the_minute_has_passed(
    autojump_clock: MockClock,
) -> None:
    found = rates(TOKENS)
    for tokens in (100, 500, 300):
        start(found, "a")
        await ask(found, "a", tokens)
        await trio.sleep(1.0)
    assert found.room("p") == 0
    # The first to go leaves 800 of 1000, and the mean is 300.
    assert found.next_at() == 61.0


async def test_a_call_without_a_count_is_taken_to_have_needed_the_mean(
    autojump_clock: MockClock,
) -> None:
    found = rates(TOKENS)
    start(found, "a")
    await ask(found, "a", 400)
    start(found, "b")
    await ask(found, "b", None)
    assert found.room("p") == 0


async def test_a_reply_of_more_than_a_minute_ago_counts_for_the_mean_alone(
    autojump_clock: MockClock,
) -> None:
    found = rates(TOKENS)
    start(found, "a")
    await found.admit("p", "a")
    await trio.sleep(61.0)
    assert found.room("p") == 1
    found.settle("a", 250)
    assert found.room("p") == 4


async def test_rounding_of_times_never_blocks_a_call(autojump_clock: MockClock) -> None:
    """Floating-point rounding: `t + 60 - t` may be less than 60."""
    odd = next(at for n in range(1, 1000) if (at := n / 7) + WINDOW_S - WINDOW_S < at)
    await trio.sleep_until(odd)
    found = rates(RateDef(requests_per_min=1))
    start(found, "a")
    sent_at = await ask(found, "a")
    with trio.fail_after(61.0):
        assert await ask(found, "a") == sent_at + WINDOW_S


def test_a_step_that_waits_for_the_rate_holds_no_slot_and_uses_up_no_attempt() -> None:
    lanes = {"a0": "alpha", "a1": "alpha", "a2": "alpha", "b0": "beta", "b1": "beta"}
    plan = Plan(
        tuple(Task(name, lane=lane, timeout_s=5.0) for name, lane in lanes.items()), total=1
    )
    rate = {"alpha": RateDef(requests_per_min=1)}
    with stand_for(plan, replace(definition_of(plan), rate=rate)) as stand:
        starts: dict[str, float] = {}

        def observe(now: float, batch: Sequence[Recorded]) -> None:
            starts.update({r.event.step: now for r in batch if isinstance(r.event, StepStarted)})

        state = stand.run(observe=observe)
    assert state.status == "succeeded"
    assert starts == {"a0": 0.0, "b0": 1.0, "b1": 2.0, "a1": 60.0, "a2": 120.0}
    assert {step.attempts for step in state.steps.values()} == {1}


def test_a_step_that_fails_before_its_call_gives_its_place_back() -> None:
    plan = Plan((Task("a"), Task("b")), total=1)
    definition = replace(definition_of(plan), rate={"alpha": RateDef(requests_per_min=1)})
    broken = replace(definition.steps[0], system="${{ steps.unknown.output }}")
    definition = replace(definition, steps=(broken, definition.steps[1]))
    with stand_for(plan, definition) as stand:
        state = stand.run()
        assert {name: step.status for name, step in state.steps.items()} == {
            "a": "failed",
            "b": "succeeded",
        }
        assert stand.wall_s == EPOCH_S + 1.0


requests = st.none() | st.sampled_from((0.5, 1.0, 2.0, 3.5))
limits = st.builds(RateDef, requests_per_min=requests, tokens_per_min=st.none() | st.just(1000.0))
calls = st.lists(st.tuples(eighths, eighths), min_size=1, max_size=3)
"""For each call of a step: how long it thinks before it, and how long the call takes."""


@bounded(60)
@given(
    limits,
    st.lists(st.tuples(eighths, calls), min_size=1, max_size=8),
    st.sampled_from((None, 400)),
)
def test_no_minute_has_more_than_the_limits_allow_and_every_call_goes(
    rate: RateDef, steps: list[tuple[float, Any]], tokens: int | None
) -> None:
    sent = trio.run(_play, rate, steps, tokens, clock=MockClock(autojump_threshold=0))
    assert len(sent) == sum(len(calls) for _, calls in steps)
    each = 400 if tokens else FIRST_TOKENS
    for at in sent:
        window = [time for time in sent if at <= time < at + WINDOW_S]
        if rate.requests_per_min is not None:
            assert len(window) <= max(1.0, rate.requests_per_min)
        if rate.tokens_per_min is not None:
            assert len(window) == 1 or len(window) * each <= rate.tokens_per_min


async def _play(rate: RateDef, steps: list[tuple[float, Any]], tokens: int | None) -> list[float]:
    """Start waiting steps as the runner does: in order, when there is room."""
    found = rates(rate)
    if tokens:
        # Each reply takes exactly the mean.
        found.reserve("p", "first")
        await found.admit("p", "first")
        found.settle("first", tokens)
        await trio.sleep(WINDOW_S)
    sent: list[float] = []
    changed = trio.Event()

    async def attempt(name: str, calls: list[tuple[float, float]]) -> None:
        nonlocal changed
        for thinks_s, takes_s in calls:
            await trio.sleep(thinks_s)
            await found.admit("p", name)
            sent.append(trio.current_time())
            changed.set()
            await trio.sleep(takes_s)
            found.settle(name, tokens)
        found.release(name)
        changed.set()

    with trio.fail_after(WAIT_S_MAX):
        async with trio.open_nursery() as nursery:
            for number, (after_s, calls) in enumerate(steps):
                await trio.sleep(after_s)
                while not found.room("p"):
                    with trio.move_on_at(found.next_at()):
                        await changed.wait()
                    changed = trio.Event()
                found.reserve("p", f"s{number}")
                nursery.start_soon(attempt, f"s{number}", calls)
    return sent

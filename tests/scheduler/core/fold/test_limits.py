"""Circuits and adaptive concurrency, rule by rule: each acts, refuses, or does nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from orc.ledger.definition import CircuitDef, JobDef, StepDef
from orc.ledger.events import AnyEvent, CircuitClosed, CircuitOpened, FailureKind
from orc.scheduler.core.commands import ExpireStep, Failed, RecordCall
from orc.scheduler.core.fold.evolve import JobState, StepState, evolve
from orc.scheduler.core.fold.queues import WorkQueues
from tests.builders import (
    EPOCH_S,
    call_failed,
    job,
    opened,
    ready_steps,
    record,
    resumed,
    running,
    step,
)
from tests.model import TRANSIENT
from tests.scheduler.play import Play


def asks(step_id: str, target: str = "fake/m", **fields: Any) -> StepDef:
    provider, model = target.split("/")
    return step(step_id, prompt="?", provider=provider, model=model, **fields)


def circuits(*steps: StepDef, threshold: int = 2, total: int = 4, **fields: Any) -> JobDef:
    return job(*steps, total=total, circuit=CircuitDef(threshold=threshold), **fields)


def crowd(size: int, **fields: Any) -> JobDef:
    return circuits(*(asks(f"s{number}") for number in range(size)), **fields)


def circuit_events(events: list[AnyEvent]) -> list[CircuitOpened | CircuitClosed]:
    return [event for event in events if isinstance(event, CircuitOpened | CircuitClosed)]


def opened_circuit(**fields: Any) -> Play:
    """Two of six steps failed at time 0, so the circuit of `fake/m` is open for a minute."""
    play = Play(crowd(6, **fields))
    play.ask("s0", "s1")
    play.fail("s0")
    play.fail("s1")
    return play


def test_a_provider_has_room_for_as_many_steps_as_its_limit_and_no_more() -> None:
    play = Play(crowd(4, lanes={"fake": 2}))
    assert play.ready() == ["s0", "s1"]
    play.ask("s0", "s1")
    assert play.ready() == []
    play.answer("s0")
    assert play.ready() == ["s2"]


class TestOpening:
    def test_failures_in_a_row_open_the_circuit_in_the_batch_of_the_last(self) -> None:
        play = Play(crowd(3))
        play.now = 7.0
        play.ask("s0", "s1")
        assert circuit_events(play.fail("s0")) == []
        events = play.fail("s1", message="no answer")
        assert [event.type for event in events] == ["llm.failed", "circuit.opened", "step.failed"]
        assert events[1] == opened(retry_at=67.0, failures=2, message="no answer")

    @pytest.mark.parametrize("kind", TRANSIENT)
    def test_every_transient_failure_counts(self, kind: FailureKind) -> None:
        play = Play(crowd(1, threshold=1))
        play.ask("s0")
        assert [event.type for event in circuit_events(play.fail("s0", kind))] == ["circuit.opened"]

    @pytest.mark.parametrize("kind", ["auth", "bad_request", "refused", "context_length"])
    def test_no_permanent_failure_opens_it(self, kind: FailureKind) -> None:
        play = Play(crowd(4, threshold=1))
        play.ask("s0", "s1", "s2")
        for step_id in ("s0", "s1", "s2"):
            assert circuit_events(play.fail(step_id, kind)) == []
        assert play.ready() == ["s3"]

    @pytest.mark.parametrize("kind", [None, "auth", "bad_request"], ids=str)
    def test_any_other_end_of_a_call_resets_the_count(self, kind: FailureKind | None) -> None:
        play = Play(crowd(4))
        play.ask("s0", "s1", "s2", "s3")
        play.fail("s0")
        play.answer("s1") if kind is None else play.fail("s1", kind)
        assert circuit_events(play.fail("s2")) == []
        assert len(circuit_events(play.fail("s3"))) == 1

    def test_a_threshold_of_zero_opens_none(self) -> None:
        play = Play(crowd(6, threshold=0, total=6))
        for number in range(6):
            play.ask(f"s{number}")
            assert circuit_events(play.fail(f"s{number}")) == []

    @pytest.mark.parametrize(
        ("retry_after_s", "cooldown_s"), [(None, 60.0), (5.0, 60.0), (90.0, 90.0)]
    )
    def test_it_stays_open_for_the_cooldown_and_as_long_as_the_server_asks(
        self, retry_after_s: float | None, cooldown_s: float
    ) -> None:
        play = Play(crowd(1, threshold=1))
        play.ask("s0")
        (event,) = circuit_events(play.fail("s0", retry_after_s=retry_after_s))
        assert isinstance(event, CircuitOpened)
        assert (event.cooldown_s, event.retry_at) == (cooldown_s, EPOCH_S + cooldown_s)

    def test_a_burst_that_says_when_it_ends_is_no_outage(self) -> None:
        play = Play(crowd(6, threshold=2, total=6))
        play.ask("s0", "s1", "s2", "s3")
        for step_id in ("s0", "s1", "s2"):
            play.fail(step_id, "rate_limit", retry_after_s=2.0)
        play.answer("s3")
        play.now = 2.0
        play.ask("s4")
        # The probe: its failure is the first one, and the server is asked again at once.
        play.fail("s4", "rate_limit", retry_after_s=1.0)
        assert play.state.circuits["fake/m"].failures == 0
        play.now = 3.0
        (probe, *_) = play.ready()
        play.ask(probe)
        events = play.fail(probe, "server_error", wait_s=1.0)
        assert [event.type for event in circuit_events(events)] == ["circuit.closed"]

    def test_a_rate_limit_closes_a_model_for_as_long_as_the_server_asks(self) -> None:
        play = Play(crowd(1, threshold=5))
        play.ask("s0")
        (event,) = circuit_events(play.fail("s0", "rate_limit", retry_after_s=2.0))
        assert isinstance(event, CircuitOpened)
        assert event.cooldown_s == 2.0

    def test_a_failure_of_another_kind_after_a_rate_limit_is_the_first_of_an_outage(self) -> None:
        play = Play(crowd(3, threshold=2))
        play.ask("s0")
        play.fail("s0", "rate_limit", retry_after_s=5.0)
        play.now = 5.0
        play.ask("s1")
        assert circuit_events(play.fail("s1", "timeout")) == [CircuitClosed(target="fake/m")]
        play.now = 60.0
        play.ask("s2")
        (event,) = circuit_events(play.fail("s2", "timeout"))
        assert isinstance(event, CircuitOpened)
        assert (event.failures, event.retry_at) == (2, EPOCH_S + 120.0)

    @pytest.mark.parametrize(
        "other",
        [asks("b", "fake/n"), asks("b", "other/m"), asks("b", base_url="http://here")],
        ids=["model", "provider", "address"],
    )
    def test_each_target_has_a_circuit_of_its_own(self, other: StepDef) -> None:
        play = Play(circuits(asks("a"), other, asks("c"), replace(other, id="d")))
        play.ask("a", "b")
        assert circuit_events(play.fail("a") + play.fail("b")) == []
        play.ask("c")
        assert len(circuit_events(play.fail("c"))) == 1
        assert play.ready() == ["d"]


class TestOpen:
    def test_no_step_starts_at_the_target_before_its_time_and_others_do(self) -> None:
        play = Play(circuits(asks("a"), asks("b"), asks("c"), asks("z", "other/m"), step("v")))
        play.ask("a", "b")
        play.fail("a")
        play.fail("b")
        assert play.ready() == ["z", "v"]
        play.now = 59.9
        assert play.ready() == ["z", "v"]

    def test_next_due_is_the_end_of_the_cooldown(self) -> None:
        play = opened_circuit()
        assert play.queues.next_due(EPOCH_S) == EPOCH_S + 60.0
        assert play.queues.next_due(EPOCH_S + 60.0) is None

    def test_steps_that_wait_for_it_use_up_no_attempts(self) -> None:
        play = opened_circuit()
        waiting = [play.state.steps[f"s{number}"] for number in range(2, 6)]
        assert {(s.status, s.attempts, s.failures) for s in waiting} == {("pending", 0, 0)}

    def test_calls_in_flight_as_it_opened_neither_close_it_nor_open_it_again(self) -> None:
        play = Play(crowd(6))
        play.ask("s0", "s1", "s2", "s3")
        play.fail("s0")
        play.fail("s1")
        assert circuit_events(play.answer("s2") + play.fail("s3")) == []
        assert play.ready() == []
        play.now = 60.0
        assert play.ready() == ["s4"]

    def test_a_total_timeout_goes_on_running_for_a_step_that_is_held_back(self) -> None:
        patient = asks("a", retry={"max_attempts": 9}, total_timeout_s=30.0)
        play = Play(circuits(patient, threshold=1))
        play.ask("a")
        play.fail("a", wait_s=1.0)
        play.now = 2.0
        assert play.ready() == []
        assert play.queues.take_overdue(EPOCH_S + 30.0) == [ExpireStep("a")]

    def test_a_resume_starts_with_closed_circuits(self) -> None:
        play = opened_circuit()
        play.fold(resumed())
        assert play.ready() == ["s0", "s1", "s2", "s3"]
        assert play.queues.next_due(EPOCH_S) is None


class TestTheProbe:
    def test_exactly_one_step_is_let_through(self) -> None:
        play = opened_circuit()
        play.now = 60.0
        assert play.ready() == ["s2"]
        play.start("s2")
        assert play.ready() == []

    @pytest.mark.parametrize("kind", [None, "auth", "bad_request"], ids=str)
    def test_its_reply_or_permanent_failure_closes_it_and_all_steps_may_start(
        self, kind: FailureKind | None
    ) -> None:
        play = opened_circuit()
        play.now = 60.0
        play.ask("s2")
        events = play.answer("s2") if kind is None else play.fail("s2", kind)
        assert circuit_events(events) == [CircuitClosed(target="fake/m")]
        assert play.ready() == ["s3", "s4", "s5"]

    def test_a_closed_circuit_counts_from_nothing(self) -> None:
        play = opened_circuit()
        play.now = 60.0
        play.ask("s2")
        play.answer("s2")
        play.ask("s3", "s4")
        assert circuit_events(play.fail("s3")) == []
        assert len(circuit_events(play.fail("s4"))) == 1

    def test_its_transient_failure_opens_it_again(self) -> None:
        play = opened_circuit()
        play.now = 60.0
        play.ask("s2")
        play.now = 65.0
        (event,) = circuit_events(play.fail("s2"))
        assert isinstance(event, CircuitOpened)
        assert (event.failures, event.retry_at) == (3, EPOCH_S + 125.0)
        play.now = 124.9
        assert play.ready() == []
        play.now = 125.0
        assert play.ready() == ["s3"]

    def test_it_opens_it_again_whatever_the_end_of_earlier_calls_was(self) -> None:
        play = Play(crowd(6, threshold=3))
        play.ask("s0", "s1", "s2", "s3")
        for step_id in ("s0", "s1", "s2"):
            play.fail(step_id)
        play.now = 60.0
        play.ask("s4")
        play.answer("s3")
        assert len(circuit_events(play.fail("s4"))) == 1
        assert play.ready() == []

    def test_the_next_one_may_try_when_the_time_is_over_again(self) -> None:
        play = opened_circuit()
        play.now = 60.0
        play.ask("s2")
        play.do(RecordCall(call_failed("s2"), EPOCH_S + 60.0))
        play.now = 120.0
        assert play.ready() == ["s3"]

    def test_one_that_ends_without_a_call_lets_the_next_one_try(self) -> None:
        play = opened_circuit()
        play.now = 60.0
        play.start("s2")
        play.finish("s2", Failed("template", "no such value", 1.0, final=True))
        assert play.ready() == ["s3"]

    def test_the_end_of_an_older_attempt_does_not_allow_another_probe(self) -> None:
        play = Play(crowd(6))
        play.ask("s0", "s1", "s2")
        play.fail("s0")
        play.fail("s1")
        play.now = 60.0
        play.ask("s3")
        play.finish("s2")
        assert play.ready() == []


class TestRoom:
    @pytest.mark.parametrize(("in_flight", "room"), [(1, 1), (2, 1), (5, 2), (8, 4)])
    def test_a_refusal_halves_what_was_in_flight(self, in_flight: int, room: int) -> None:
        play = Play(crowd(20, total=8, threshold=0))
        play.ask(*(f"s{number}" for number in range(in_flight)))
        play.fail("s0", "rate_limit")
        for number in range(1, in_flight):
            play.finish(f"s{number}")
        assert len(play.ready()) == room

    @pytest.mark.parametrize("kind", ["timeout", "server_error", "auth"])
    def test_no_other_failure_takes_room_away(self, kind: FailureKind) -> None:
        play = Play(crowd(9, threshold=0))
        play.ask("s0", "s1", "s2", "s3")
        play.fail("s0", kind)
        assert play.ready() == ["s4"]

    def test_no_step_starts_while_more_than_the_room_run(self) -> None:
        play = halved(8)
        for number in range(1, 5):
            assert play.ready() == []
            play.finish(f"s{number}")
        assert play.ready() == ["s8"]

    def test_calls_that_were_sent_before_halve_it_no_further(self) -> None:
        play = halved(8)
        for number in range(1, 8):
            play.fail(f"s{number}", "rate_limit")
        assert len(play.ready()) == 4

    def test_a_call_that_was_sent_since_halves_it_again(self) -> None:
        play = halved(8)
        for number in range(1, 8):
            play.finish(f"s{number}")
        play.ask("s8", "s9", "s10", "s11")
        play.fail("s8", "rate_limit")
        for number in range(9, 12):
            play.finish(f"s{number}")
        assert len(play.ready()) == 2

    def test_a_refusal_while_more_than_the_room_are_in_flight_halves_the_room(self) -> None:
        play = halved(8)
        play.send("s1")
        play.fail("s1", "rate_limit")
        for number in range(2, 8):
            play.finish(f"s{number}")
        assert len(play.ready()) == 2

    def test_a_round_of_answers_gives_room_for_one_more(self) -> None:
        play = halved(8)
        for number in range(1, 5):
            play.finish(f"s{number}")
        for number in range(5, 8):
            play.answer(f"s{number}")
        assert len(play.ready()) == 4
        play.ask("s8", "s9")
        play.answer("s8")
        play.answer("s9")
        assert len(play.ready()) == 5

    def test_it_grows_to_the_configured_limit_and_no_further(self) -> None:
        play = halved(4, lanes={"fake": 4})
        for number in range(1, 30):
            if number > 3:
                play.ask(f"s{number}")
            play.answer(f"s{number}")
        assert len(play.ready()) == 4

    def test_a_refusal_of_long_ago_does_not_halve_what_has_grown_again(self) -> None:
        play = halved(4, lanes={"fake": 4})
        play.finish("s1")
        play.finish("s2")
        for number in range(4, 20):
            play.ask(f"s{number}")
            play.answer(f"s{number}")
        play.fail("s3", "rate_limit")
        assert len(play.ready()) == 4

    def test_it_is_the_providers_and_of_no_other(self) -> None:
        definition = circuits(
            *(asks(f"m{n}") for n in range(2)),
            *(asks(f"n{n}", "fake/n") for n in range(2)),
            *(asks(f"o{n}", "other/m") for n in range(4)),
            total=9,
        )
        play = Play(definition)
        play.ask("m0", "m1")
        play.fail("m0", "rate_limit")
        assert play.ready() == ["o0", "o1", "o2", "o3"]
        play.finish("m1")
        assert play.ready() == ["n0", "o0", "o1", "o2", "o3"]

    def test_a_resume_starts_with_all_the_room(self) -> None:
        play = halved(8)
        for number in range(1, 8):
            play.finish(f"s{number}")
        play.fold(resumed())
        assert len(play.ready()) == 8


def halved(in_flight: int, **fields: Any) -> Play:
    """A job in which the first of this many calls in flight got a rate limit failure."""
    play = Play(crowd(40, total=8, threshold=0, **fields))
    play.ask(*(f"s{number}" for number in range(in_flight)))
    play.fail("s0", "rate_limit")
    return play


class CountingSteps(dict[str, StepState]):
    """A mapping of steps that counts look-ups, and fails when all steps are iterated."""

    looks = 0

    def __getitem__(self, step_id: str) -> StepState:
        self.looks += 1
        return super().__getitem__(step_id)

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("all steps are looked at")

    items = values = __iter__  # type: ignore[assignment]


def reads_of_an_event(state: JobState, event: AnyEvent) -> int:
    queues = WorkQueues(state)
    list(queues.ready(EPOCH_S))
    steps = CountingSteps(state.steps)
    state.steps = steps
    evolve(state, record([event], after=state.version)[0])
    list(queues.ready(EPOCH_S))
    queues.next_due(EPOCH_S)
    return steps.looks


@pytest.mark.parametrize("kind", ["timeout", "rate_limit"])
def test_an_event_reads_few_steps_however_many_wait_for_a_circuit(kind: FailureKind) -> None:
    looks = []
    for size in (10, 1000):
        play = Play(crowd(size, threshold=1))
        play.ask("s0", "s1")
        play.fail("s0", kind)
        looks.append(reads_of_an_event(play.state, call_failed("s1", kind=kind)))
    assert looks[0] == looks[1]
    assert looks[0] < 30


def test_closing_a_circuit_reads_as_many_steps_as_may_start() -> None:
    looks = []
    for size in (10, 1000):
        play = Play(crowd(size, threshold=1))
        play.ask("s0")
        play.fail("s0")
        looks.append(reads_of_an_event(play.state, CircuitClosed(target="fake/m")))
    assert looks[0] == looks[1]
    assert looks[0] < 30


def test_a_circuit_event_of_a_target_that_no_step_asks_changes_nothing_for_them() -> None:
    state = running(crowd(2), opened("gone/m"), CircuitClosed(target="gone/m"))
    assert ready_steps(state) == ["s0", "s1"]

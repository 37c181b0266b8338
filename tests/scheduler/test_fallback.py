"""Fallback: when a step switches to its next target, and when it does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from orc.ledger.definition import CircuitDef, JobDef, RetryDef, StepDef
from orc.ledger.events import (
    AnyEvent,
    CacheHit,
    FailureKind,
    LlmRequested,
    StepStarted,
    StepSwitched,
)
from orc.scheduler.core.commands import Failed
from tests.builders import job, responded, resumed, started, step, switched, targets, tool_returned
from tests.model import Choice, Plan, Task, Try
from tests.scheduler.harness import Crash, Stand, stand_for
from tests.scheduler.play import Play
from tests.scheduler.test_properties import referee_for, watch

SWITCHED_ON: tuple[FailureKind, ...] = (
    "rate_limit",
    "timeout",
    "connection",
    "server_error",
    "protocol",
    "auth",
    "bad_request",
    "refused",
    "context_length",
    "schema",
)


def asks(step_id: str = "a", *fallback: str, tries: int = 1, **fields: Any) -> StepDef:
    return step(
        step_id,
        prompt="?",
        fallback=targets(*(fallback or ("b/n", "c/o"))),
        retry=RetryDef(max_attempts=tries),
        retry_on=("timeout", "rate_limit", "server_error"),
        **fields,
    )


def plain(*steps: StepDef, threshold: int = 0, **fields: Any) -> JobDef:
    return job(*steps, circuit=CircuitDef(threshold=threshold), **fields)


def switches(events: Sequence[AnyEvent]) -> list[StepSwitched]:
    return [event for event in events if isinstance(event, StepSwitched)]


def target_of(play: Play, step_id: str = "a") -> str:
    target = play.state.target_of(step_id)
    assert target is not None
    return target.name


class TestUsedUp:
    @pytest.mark.parametrize("kind", SWITCHED_ON)
    def test_a_step_moves_on_when_its_attempts_at_a_target_are_used_up(
        self, kind: FailureKind
    ) -> None:
        play = Play(plain(asks()))
        play.ask("a")
        events = play.fail("a", kind, message="no")
        assert [event.type for event in events] == ["llm.failed", "step.failed", "step.switched"]
        assert events[2] == switched("a", message=f"{kind}: too late")
        assert play.ready() == ["a"]

    def test_it_has_all_its_attempts_again_and_at_once(self) -> None:
        play = Play(plain(asks(tries=2)))
        told = []
        for number in range(1, 7):
            play.ask("a")
            told.append((target_of(play), bool(switches(play.fail("a", wait_s=5.0)))))
            play.now += 5.0 * (number % 2)
        assert told == [
            ("fake/m", False),
            ("fake/m", True),
            ("b/n", False),
            ("b/n", True),
            ("c/o", False),
            ("c/o", False),
        ]
        assert play.state.steps["a"].status == "failed"
        assert play.state.steps["a"].attempts == 6

    def test_the_last_targets_failure_fails_the_step(self) -> None:
        play = Play(plain(asks("a", "b/n"), step("z", needs="a")))
        play.ask("a")
        play.fail("a", "auth")
        play.ask("a")
        events = play.fail("a", "refused")
        assert [event.type for event in events[1:]] == ["step.failed", "step.skipped"]
        assert events[1].retry_at is None  # type: ignore[union-attr]

    @pytest.mark.parametrize("kind", ["template", "path", "environment"])
    def test_what_is_no_fault_of_the_target_fails_the_step(self, kind: FailureKind) -> None:
        play = Play(plain(asks()))
        play.ask("a")
        assert switches(play.finish("a", Failed(kind, "no", 1.0))) == []
        assert play.state.steps["a"].status == "failed"

    def test_a_final_failure_fails_the_step(self) -> None:
        play = Play(plain(asks()))
        play.ask("a")
        assert switches(play.finish("a", Failed("timeout", "no", 1.0, final=True))) == []

    def test_nothing_is_tried_past_the_total_timeout(self) -> None:
        play = Play(plain(asks(total_timeout_s=10.0)))
        play.ask("a")
        play.now = 9.9
        assert len(switches(play.fail("a"))) == 1
        play.ask("a")
        play.now = 10.0
        assert switches(play.fail("a")) == []
        assert play.state.steps["a"].status == "failed"

    def test_it_counts_against_the_limit_of_its_current_provider(self) -> None:
        play = Play(plain(asks(), asks("x", "b/n"), lanes={"fake": 1, "b": 1}))
        play.ask("a")
        assert play.ready() == []
        play.fail("a")
        assert play.ready() == ["x", "a"]
        play.ask("x", "a")
        assert play.state.running == {"fake": 1, "b": 1}

    def test_replies_and_results_of_another_target_are_forgotten(self) -> None:
        play = Play(plain(asks()))
        play.ask("a")
        play.answer("a", ends=False)
        play.fold(tool_returned("a"))
        step_state = play.state.steps["a"]
        assert step_state.replies
        assert step_state.results
        play.fail("a")
        assert (step_state.replies, step_state.results) == ([], {})

    def test_recorded_replies_stand_in_for_every_target(self) -> None:
        play = Play(plain(asks(tries=1)))
        play.fold(resumed(provider="replay"))
        play.ask("a")
        assert target_of(play) == "replay/m"
        assert switches(play.fail("a", "auth")) == []
        assert play.state.steps["a"].status == "failed"


class TestOpenCircuit:
    def test_a_step_moves_past_a_target_whose_circuit_is_open(self) -> None:
        play = Play(plain(asks(), asks("x"), threshold=1, total=1))
        play.ask("a")
        play.fail("a")
        events = play.start("x")
        assert events[0] == switched("x", 0, message="its circuit is open")
        assert events[1] == started("x", kind="prompt")
        assert target_of(play, "x") == "b/n"

    def test_it_moves_past_as_many_as_are_open(self) -> None:
        play = Play(plain(asks("a"), asks("x", "b/n"), asks("y"), threshold=1, total=1))
        play.ask("a")
        play.fail("a")
        play.ask("x")
        play.fail("x")
        (event,) = switches(play.start("y"))
        assert (event.fallback, event.to_target) == (2, "c/o")

    def test_it_waits_where_no_target_may_be_asked(self) -> None:
        play = Play(plain(*(asks(name, "b/n") for name in "axy"), threshold=1, total=1))
        play.ask("a")
        play.fail("a")
        play.ask("x")
        play.fail("x")
        assert play.ready() == []
        assert (play.state.steps["y"].attempts, target_of(play, "y")) == (0, "fake/m")
        play.now = 60.0
        assert switches(play.start("y")) == []

    def test_a_retry_that_comes_while_it_is_open_goes_to_the_next_target(self) -> None:
        play = Play(plain(asks(tries=3), threshold=1))
        play.ask("a")
        assert switches(play.fail("a", wait_s=1.0)) == []
        play.now = 1.0
        assert len(switches(play.start("a"))) == 1
        assert play.state.steps["a"].failures == 0

    def test_one_step_tries_and_the_others_move_on(self) -> None:
        steps = [asks(name, "b/n") for name in "axyz"]
        play = Play(plain(*steps, threshold=1, lanes={"fake": 1}))
        play.ask("a")
        play.fail("a")
        play.ask("x")
        play.now = 60.0
        play.ask("y", "z", "a")
        assert [target_of(play, name) for name in "axyz"] == ["b/n", "b/n", "fake/m", "b/n"]

    def test_room_is_that_of_the_target_that_may_be_asked(self) -> None:
        steps = [asks(name, "b/n") for name in "axyz"]
        play = Play(plain(*steps, threshold=1, lanes={"fake": 1, "b": 2}))
        play.ask("a")
        play.fail("a")
        assert play.ready() == ["x", "y"]


class TestResume:
    def test_a_step_with_replies_goes_on_with_the_target_that_gave_them(self) -> None:
        play = Play(plain(asks()))
        play.ask("a")
        play.fail("a")
        play.ask("a")
        play.fold(responded("a", 2), resumed())
        assert target_of(play) == "b/n"

    def test_a_step_without_begins_again_with_its_first_target_and_all_its_attempts(self) -> None:
        play = Play(plain(asks(tries=2)))
        for _ in range(3):
            play.ask("a")
            play.fail("a")
        assert (target_of(play), play.state.steps["a"].failures) == ("b/n", 1)
        play.fold(resumed())
        assert (target_of(play), play.state.steps["a"].failures) == ("fake/m", 0)


AUTH, OK = (Try(1.0, "auth"),), (Try(1.0),)
SECOND = Plan((Task("a", tries=AUTH, fallback=(Choice("beta", "n", OK),)), Task("b", ("a",))))


def test_a_run_shows_each_switch_and_the_targets_called() -> None:
    with stand_for(SECOND) as stand:
        referee = referee_for(stand)
        assert watch(stand, referee).status == "succeeded"
        events = [recorded.event for recorded in stream(stand)]
    (switch,) = switches(events)
    assert (switch.from_target, switch.to_target, switch.attempt) == ("alpha/m", "beta/n", 1)
    assert switch.message == "auth: as the test says"
    asked = [(e.step, e.provider, e.model) for e in events if isinstance(e, LlmRequested)]
    assert asked == [("a", "alpha", "m"), ("a", "beta", "n"), ("b", "alpha", "m")]
    assert referee.starts == {"a": [0.0, 1.0], "b": [2.0]}


def test_a_crash_after_the_reply_of_a_fallback_sends_no_call_again() -> None:
    with stand_for(SECOND) as stand:
        with pytest.raises(Crash):
            stand.run(commits=6)
        assert stream(stand)[-1].event.type == "llm.responded"
        assert stand.run().status == "succeeded"
        events = [recorded.event for recorded in stream(stand)]
        assert len([event for event in events if isinstance(event, CacheHit)]) == 1
        assert [event.attempt for event in events if isinstance(event, StepStarted)] == [1, 2, 3, 1]
        assert stand.models["beta"].paid["a"] == 1


def stream(stand: Stand) -> list[Any]:
    return stand.stream()

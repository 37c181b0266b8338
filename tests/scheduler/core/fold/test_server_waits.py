"""Waiting for a server that is not ready, rule by rule: each acts, refuses, or does nothing."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from orc.ledger.definition import JobDef
from orc.ledger.events import AnyEvent, CircuitOpened, StepFailed, StepInterrupted, StepSwitched
from orc.ledger.kinds import TRANSIENT
from orc.ledger.servers.server_def import ServerDef
from orc.scheduler.core.commands import Failed, RecordCall
from tests.builders import EPOCH_S, call_failed, resumed
from tests.scheduler.core.fold.test_limits import asks, circuits
from tests.scheduler.play import Play

GONE: dict[str, Any] = {"unsent": True, "absent": True, "not_ready": True}


def waiting(size: int = 1, wait_s: float | None = 60.0, **fields: Any) -> JobDef:
    """Steps that wait for the server of `fake/m`."""
    fields = {"retry_on": TRANSIENT, **fields}
    steps = (asks(f"s{number}", wait_for_server_s=wait_s, **fields) for number in range(size))
    return circuits(*steps, threshold=5)


def refuse(play: Play, step_id: str, *, absent: bool = True) -> list[AnyEvent]:
    """The server of the step's call is not ready."""
    attempt = play.state.steps[step_id].attempts
    fields = GONE if absent else {"not_ready": True}
    kind: Any = "connection" if absent else "server_error"
    events = play.do(
        RecordCall(call_failed(step_id, attempt, kind=kind, **fields), EPOCH_S + play.now)
    )
    failed = Failed(kind, "no answer", 0.1, absent=absent, not_ready=True)
    return events + play.finish(step_id, failed, wait_s=1.0)


def types(events: list[AnyEvent]) -> list[str]:
    return [event.type for event in events]


@pytest.mark.parametrize("absent", [True, False])
def test_a_step_waits_for_its_server_and_uses_no_attempts(absent: bool) -> None:
    play = Play(waiting(retry={"max_attempts": 1}))
    for now, cooldown_s in ((0.0, 1.0), (1.0, 2.0), (3.0, 4.0), (7.0, 8.0), (15.0, 10.0)):
        play.now = now
        assert play.ready() == ["s0"]
        play.ask("s0")
        _, opened, cut = refuse(play, "s0", absent=absent)
        assert isinstance(opened, CircuitOpened)
        assert (opened.cooldown_s, opened.waits_since) == (cooldown_s, EPOCH_S)
        assert isinstance(cut, StepInterrupted)
        assert cut.reason == "server"
        assert play.ready() == []
        assert play.queues.next_due(EPOCH_S + now) == EPOCH_S + now + cooldown_s
    play.now = 25.0
    assert play.state.steps["s0"].failures == 0
    play.ask("s0")
    assert types(play.answer("s0")) == ["llm.responded", "circuit.closed", "step.succeeded"]


@pytest.mark.parametrize("absent", [True, False])
def test_without_the_key_it_is_a_failure_like_any_other(absent: bool) -> None:
    play = Play(waiting(wait_s=None, retry={"max_attempts": 2}))
    play.ask("s0")
    events = refuse(play, "s0", absent=absent)
    assert types(events) == ["llm.failed", "step.failed"]
    failed = events[-1]
    assert isinstance(failed, StepFailed)
    assert (failed.retry_at is None) == absent


def test_another_failure_is_not_waited_for() -> None:
    play = Play(waiting(retry={"max_attempts": 1}))
    play.ask("s0")
    assert types(play.fail("s0", "server_error")) == ["llm.failed", "step.failed"]


def test_when_the_time_is_over_every_step_fails_at_once() -> None:
    play = Play(waiting(5))
    play.ask("s0", "s1")
    refuse(play, "s0")
    assert types(refuse(play, "s1")) == ["llm.failed", "step.interrupted"]
    play.now = 59.5
    (probe,) = play.ready()
    play.ask(probe)
    opened = refuse(play, probe)[1]
    assert isinstance(opened, CircuitOpened)
    assert opened.retry_at == EPOCH_S + 60.0
    play.now = 60.0
    for _ in range(5):
        (one,) = play.ready()
        play.ask(one)
        assert types(refuse(play, one)) == ["llm.failed", "circuit.opened", "step.failed"]
    assert {step.status for step in play.state.steps.values()} == {"failed"}


def test_the_fallback_is_asked_only_when_the_time_is_over() -> None:
    play = Play(waiting(fallback=({"provider": "other", "model": "m"},)))
    play.ask("s0")
    refuse(play, "s0")
    assert play.ready() == []
    play.now = 60.0
    play.ask("s0")
    switched = refuse(play, "s0")[-1]
    assert isinstance(switched, StepSwitched)
    assert play.ready() == ["s0"]
    assert switched.to_target == "other/m"


def test_a_server_that_is_there_and_fails_ends_the_wait() -> None:
    play = Play(waiting(2))
    play.ask("s0")
    refuse(play, "s0")
    play.now = 1.0
    (probe,) = play.ready()
    play.ask(probe)
    events = play.fail(probe, "timeout", wait_s=1.0)
    assert types(events) == ["llm.failed", "circuit.closed", "step.failed"]
    assert len(play.ready()) == 1


def test_a_resume_begins_to_wait_again() -> None:
    play = Play(waiting())
    play.ask("s0")
    refuse(play, "s0")
    play.now = 50.0
    play.fold(resumed())
    assert play.ready() == ["s0"]
    play.ask("s0")
    opened = refuse(play, "s0")[1]
    assert isinstance(opened, CircuitOpened)
    assert (opened.waits_since, opened.failures) == (EPOCH_S + 50.0, 1)


def test_the_key_of_a_server_holds_for_its_calls_and_the_step_comes_first() -> None:
    server = ServerDef(api="openai", base_url="http://localhost:1", wait_for_server_s=9.0)
    definition = circuits(asks("a", "lab/m"), asks("b", "lab/m", wait_for_server_s=5.0), asks("c"))
    definition = replace(definition, servers={"lab": server})
    waits = [
        definition.server_wait_of(step, target)
        for step in definition.steps
        for target in step.targets()
    ]
    assert waits == [9.0, 5.0, None]

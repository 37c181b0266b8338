"""Attempts on workers under everything that an engine can do, in any order.

The engine asks twice, loses, forgets and answers late; the owner dies and comes back. The judge holds
each event against those before it. Its sentences are not those of the rules.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orc.ledger import JobId, Recorded, pack
from orc.ledger.events import AnyEvent, JobInterrupted
from orc.scheduler.core.commands import (
    Command,
    DecideApproval,
    Failed,
    FinishAttempt,
    Interrupted,
    ResumeJob,
    Settle,
    StartAttempt,
    StartJob,
    SubmitJob,
    Succeeded,
)
from orc.scheduler.core.fold.evolve import JobState, evolve
from orc.scheduler.core.fold.placing import LOST_MAX, may_place, open_remote
from orc.scheduler.core.fold.queues import WorkQueues
from orc.scheduler.core.placing_commands import (
    ExpireQueued,
    PlaceAttempt,
    ReattachAttempt,
    UnplaceAttempt,
    WorkerPlace,
)
from orc.scheduler.core.rules.decide import decide
from tests.builders import (
    EPOCH_S,
    JOB,
    OWNER,
    at,
    fold_recorded,
    job,
    new_state,
    step,
    submitted,
)
from tests.scheduler.profiles import bounded, long
from tests.simulation.judge import Judge

AWAY: dict[str, Any] = {"kind": "run", "run": "true", "executor": "cluster"}
RETRIED: dict[str, Any] = {"retry": {"max_attempts": 3, "initial_s": 0.0, "jitter": 0.0}}
DEFINITION = job(
    step("a", **AWAY),
    step("b", **AWAY, queue_timeout_s=5.0, continue_on_error=True, **RETRIED),
    step("c", **AWAY, needs="a", on_unknown="fail"),
    step("here", kind="run", run="true"),
    step("end", **AWAY, needs=("a", "here"), condition="always()", runs_after="any", **RETRIED),
    total=1,
    lanes={"cluster": 2},
)
NAMES = ("a", "b", "c", "here", "end")
RUNS = ("run1", "run2")
WORKERS = ("w1", "w2")

MOVES = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("start", "start", "place", "place", "lose", "lose", "unplace", "find"),
                *("succeed", "fail", "late", "die", "wait"),
            ]
        ),
        st.integers(0, 9),
        st.sampled_from(RUNS),
        st.sampled_from(WORKERS),
        st.booleans(),
    ),
    min_size=10,
    max_size=60,
)


class Play:
    """One job whose owner and engine do what the moves say."""

    def __init__(self) -> None:
        self.state: JobState = new_state(DEFINITION)
        self.judge = Judge(DEFINITION)
        self.stream: list[Recorded] = []
        self.now = 0.0
        self.ends: Counter[tuple[str, int]] = Counter()
        self.apply(SubmitJob(submitted(DEFINITION)))
        self.apply(StartJob(OWNER))
        self.queues = WorkQueues(self.state)

    def apply(self, command: Command) -> list[AnyEvent]:
        events = decide(self.state, command)
        for event in events:
            self.record(event)
        return events

    def record(self, event: AnyEvent) -> None:
        recorded = Recorded(JobId(JOB), self.state.version + 1, at(self.now), event)
        evolve(self.state, recorded)
        self.judge.observe([recorded])
        self.stream.append(recorded)
        if event.type in ("step.succeeded", "step.failed", "step.interrupted"):
            attempt: Any = event
            self.ends[attempt.step, attempt.attempt] += 1

    def move(self, what: str, number: int, run: str, worker: str, flag: bool) -> None:
        if self.state.status != "running":
            return
        self.now += 0.5
        if what == "start":
            self.start(number)
        elif what in ("die", "wait"):
            self.pass_time(what, flag)
        else:
            opened = [name for name in NAMES if self.state.steps[name].status == "running"]
            others = opened or [name for name in NAMES if self.state.steps[name].attempts]
            if others:
                self.act(what, others[number % len(others)], run, worker, flag)
        self.apply(Settle())

    def start(self, number: int) -> None:
        self.queues.wake(EPOCH_S + self.now)
        for due in self.queues.take_due():
            if due == "end":
                self.queues.add_ready(due)
        ready = list(self.queues.ready(EPOCH_S + self.now))
        self.check_room(ready)
        if ready:
            self.apply(StartAttempt(ready[number % len(ready)], EPOCH_S + self.now))

    def pass_time(self, what: str, flag: bool) -> None:
        """The owner dies or stops, and another one follows; or no worker asks for a while."""
        if what == "die":
            before = open_remote(self.state)
            if flag and not self.state.running_total - self.state.running_elsewhere:
                self.record(JobInterrupted(signal="SIGTERM"))
            self.apply(ResumeJob(OWNER))
            assert open_remote(self.state) == before
            return
        self.now += 6.0
        for command in self.queues.take_overdue(EPOCH_S + self.now):
            assert isinstance(command, ExpireQueued | DecideApproval)
            self.apply(command)

    def act(self, what: str, name: str, run: str, worker: str, flag: bool) -> None:
        """The engine, or one of its workers, says something of the step."""
        step = self.state.steps[name]
        attempt = step.attempts
        is_open = step.status == "running"
        placement = WorkerPlace(run, "cluster", "e1", worker, f"host of {worker}")
        match what:
            case "place":
                before = step.placement
                allowed = may_place(self.state, name, attempt, placement)
                events = self.apply(PlaceAttempt(name, attempt, placement))
                assert allowed == (step.placement == placement)
                assert bool(events) == (allowed and before is None)
            case "unplace":
                self.apply(UnplaceAttempt(name, attempt, run, "why"))
            case "find":
                self.apply(ReattachAttempt(name, attempt, run))
            case "lose" if is_open and step.placement is not None:
                self.finish(name, attempt, Interrupted("worker", 1.0))
                assert step.losses < LOST_MAX or step.status == "failed"
            case "succeed" if is_open and (step.placement is not None or name == "here"):
                self.finish(name, attempt, Succeeded(pack(1)[0], 1.0))
            case "fail" if is_open:
                self.finish(name, attempt, Failed("exit_code", "no", 1.0, final=flag))
            case "late" if name != "here" and attempt > 1 - is_open:
                late = attempt if not is_open else attempt - 1
                assert self.finish(name, late, Succeeded(pack(1)[0], 1.0)) == []

    def finish(self, name: str, attempt: int, outcome: Any) -> list[AnyEvent]:
        return self.apply(FinishAttempt(name, attempt, outcome, EPOCH_S + self.now))

    def check_room(self, ready: list[str]) -> None:
        running = [name for name, found in self.state.steps.items() if found.status == "running"]
        away = [name for name in (*running, *ready) if name != "here"]
        assert len(away) <= 2
        assert len([name for name in (*running, *ready) if name == "here"]) <= 1


@bounded(100)
@given(MOVES)
def test_whatever_the_engine_does_the_events_are_true(moves: list[Any]) -> None:
    check_play(moves)


@pytest.mark.torture
@long
@given(MOVES)
def test_whatever_the_engine_does_in_many_plays_the_events_are_true(moves: list[Any]) -> None:
    check_play(moves)


def check_play(moves: list[Any]) -> None:
    """Play the moves. Each step has one end, and every prefix of the events can be resumed."""
    play = Play()
    for move in moves:
        play.move(*move)
    assert all(count == 1 for count in play.ends.values()), play.ends
    # Every prefix folds, and the whole stream to the same state.
    folded = fold_recorded(DEFINITION, play.stream)
    assert folded.summary() == play.state.summary()
    assert open_remote(folded) == open_remote(play.state)
    for cut in range(2, len(play.stream)):
        prefix = fold_recorded(DEFINITION, play.stream[:cut])
        again = fold_recorded(DEFINITION, play.stream[:cut])
        assert prefix.summary() == again.summary()
        if prefix.status == "running":
            opened = open_remote(prefix)
            for event in decide(prefix, ResumeJob(OWNER)):
                evolve(prefix, Recorded(JobId(JOB), prefix.version + 1, at(play.now), event))
            assert open_remote(prefix) == opened

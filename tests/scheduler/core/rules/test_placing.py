"""Attempts on workers: what may start where, what follows a loss, and what a new owner finds."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from orc.ledger import pack
from orc.ledger.events import AnyEvent, JobInterrupted, StepFailed, StepInterrupted, StepStarted
from orc.scheduler.core.commands import (
    AmendJob,
    CancelJob,
    Failed,
    FinishAttempt,
    Interrupted,
    ResumeJob,
    StartAttempt,
    Succeeded,
)
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.placing import LOST_MAX, may_place, open_remote
from orc.scheduler.core.fold.queues import WorkQueues
from orc.scheduler.core.placing_commands import (
    EndPlaced,
    ExpireQueued,
    PlaceAttempt,
    ReattachAttempt,
    UnplaceAttempt,
    WorkerPlace,
)
from orc.scheduler.core.rules.decide import decide
from orc.scheduler.core.rules.placing import lost_too_often
from tests.builders import (
    EPOCH_S,
    OWNER,
    amended,
    failed,
    interrupted,
    job,
    placed,
    ready_steps,
    reattached,
    resumed,
    running,
    started,
    step,
    succeeded,
    unplaced,
)

PLACE = WorkerPlace("run1", "cluster", "e1", "w1", "node1")


def remote(step_id: str = "a", **fields: Any) -> Any:
    return step(step_id, kind="run", run="true", **{"executor": "cluster", **fields})


CLUSTER = job(remote())
START = started("a", kind="run", executor="cluster")


def types(events: list[AnyEvent]) -> list[str]:
    return [event.type for event in events]


def place(state: JobState, placement: WorkerPlace = PLACE, attempt: int = 1) -> list[AnyEvent]:
    return decide(state, PlaceAttempt("a", attempt, placement))


def finish(state: JobState, outcome: Any, attempt: int = 1) -> list[AnyEvent]:
    return decide(state, FinishAttempt("a", attempt, outcome, EPOCH_S))


def done(**fields: Any) -> Succeeded:
    return Succeeded(pack(1)[0], 1.0, **fields)


LOST = Interrupted("worker", 2.0)


def test_the_start_of_an_attempt_says_on_which_executor_it_waits() -> None:
    (event,) = decide(running(CLUSTER), StartAttempt("a", EPOCH_S))
    assert isinstance(event, StepStarted)
    assert event.executor == "cluster"
    (event,) = decide(running(job(remote(executor="local"))), StartAttempt("a", EPOCH_S))
    assert isinstance(event, StepStarted)
    assert event.executor is None


def test_a_queued_attempt_is_placed_where_a_worker_asks_first() -> None:
    state = running(CLUSTER, START)
    assert may_place(state, "a", 1, PLACE)
    assert place(state) == [placed("a")]
    assert running(CLUSTER, START, placed("a")).steps["a"].placement == PLACE


@pytest.mark.parametrize(
    "other",
    [
        replace(PLACE, run="run2"),
        replace(PLACE, worker="w2"),
        replace(PLACE, engine="e2"),
    ],
    ids=["another run", "the engine's copy of the same run", "another engine"],
)
def test_a_second_placement_is_refused(other: WorkerPlace) -> None:
    state = running(CLUSTER, START, placed("a"))
    assert not may_place(state, "a", 1, other)
    assert place(state, other) == []


def test_the_same_placement_twice_is_one_event_and_still_allowed() -> None:
    state = running(CLUSTER, START, placed("a"))
    assert may_place(state, "a", 1, PLACE)
    assert place(state) == []


@pytest.mark.parametrize(
    ("events", "attempt"),
    [
        ((), 1),
        ((START,), 2),
        ((START, placed("a"), interrupted("a", reason="worker")), 1),
        ((START, placed("a"), succeeded("a")), 1),
        ((START, JobInterrupted(signal="SIGTERM")), 1),
    ],
    ids=["not started", "another attempt", "lost", "ended", "the job has no owner"],
)
def test_only_the_open_attempt_of_a_running_job_is_placed(
    events: tuple[AnyEvent, ...], attempt: int
) -> None:
    state = running(CLUSTER, *events)
    assert not may_place(state, "a", attempt, PLACE)
    assert place(state, attempt=attempt) == []


def test_an_attempt_of_this_machine_is_never_placed() -> None:
    state = running(job(remote(executor="local")), started("a", kind="run"))
    assert place(state) == []
    assert not may_place(state, "no such step", 1, PLACE)


def test_an_attempt_that_was_never_let_start_is_placed_again() -> None:
    state = running(CLUSTER, START, placed("a"))
    assert decide(state, UnplaceAttempt("a", 1, "run2", "why")) == []
    assert decide(state, UnplaceAttempt("a", 1, "run1", "why")) == [unplaced("a", reason="why")]
    state = running(CLUSTER, START, placed("a"), unplaced("a"))
    assert open_remote(state) == [("a", 1, None)]
    assert types(place(state, replace(PLACE, run="run2"))) == ["step.placed"]


def test_attempts_elsewhere_survive_the_owner_and_those_here_do_not() -> None:
    definition = job(remote(), remote("b"), remote("c", executor="local"))
    queued, here = started("b", kind="run", executor="cluster"), started("c", kind="run")
    state = running(definition, START, queued, here, placed("a"))
    opened = [("a", 1, PLACE), ("b", 1, None)]
    assert open_remote(state) == opened
    events = decide(state, ResumeJob(OWNER))
    assert types(events) == ["job.resumed", "step.interrupted"]
    assert isinstance(events[1], StepInterrupted)
    assert events[1].step == "c"
    state = running(definition, START, queued, here, placed("a"), *events)
    assert open_remote(state) == opened
    assert [state.steps[name].status for name in "abc"] == ["running", "running", "pending"]
    assert (state.running_total, state.running_elsewhere) == (2, 2)
    assert decide(state, ReattachAttempt("a", 1, "run1")) == [reattached("a")]
    assert decide(state, ReattachAttempt("a", 1, "run2")) == []
    assert decide(state, ReattachAttempt("b", 1, "run1")) == []
    assert state.epoch == 7


def test_a_stop_leaves_the_attempts_elsewhere_and_a_cancel_or_an_amendment_ends_them() -> None:
    stopped = running(CLUSTER, START, placed("a"), JobInterrupted(signal="SIGTERM"))
    assert open_remote(stopped) == [("a", 1, PLACE)]
    cut = interrupted("a", reason="cancel")
    events = decide(stopped, CancelJob(at_once=True))
    assert (events[0], types(events)) == (cut, ["step.interrupted", "job.cancelled"])
    event = amended(CLUSTER, "a")
    assert decide(stopped, AmendJob(event))[0] == cut


def test_an_attempt_that_its_owner_left_and_that_was_ended_runs_again() -> None:
    state = running(CLUSTER, START, placed("a"))
    assert decide(state, EndPlaced("a", 2)) == []
    (event,) = decide(state, EndPlaced("a", 1))
    assert event == interrupted("a", reason="crash")
    state = running(CLUSTER, START, placed("a"), event)
    assert (open_remote(state), state.steps["a"].losses) == ([], 0)
    assert decide(state, EndPlaced("a", 1)) == []
    assert types(decide(state, ResumeJob(OWNER))) == ["job.resumed"]


def test_an_end_counts_only_while_the_attempt_is_open() -> None:
    state = running(CLUSTER, START, placed("a"), interrupted("a", reason="worker"))
    assert finish(state, done()) == []
    again = started("a", 2, kind="run", executor="cluster")
    state = running(CLUSTER, START, placed("a"), interrupted("a", reason="worker"), again)
    assert finish(state, done()) == []


def test_an_end_says_where_the_attempt_ran_and_how_long_it_waited() -> None:
    state = running(CLUSTER, START, placed("a"))
    (event,) = finish(state, done(queued_s=4.5))
    assert (event.executor, event.queued_s) == ("cluster", 4.5)  # type: ignore[union-attr]
    (event,) = finish(state, Failed("exit_code", "no", 1.0))
    assert (event.executor, event.queued_s) == ("cluster", 0.0)  # type: ignore[union-attr]
    other = running(CLUSTER, START, placed("a", executor="other"))
    (event,) = finish(other, done())
    assert event.executor == "other"  # type: ignore[union-attr]
    (event,) = finish(running(CLUSTER, START), Failed("connection", "no engine", 1.0))
    assert (event.executor, event.queued_s) == ("cluster", None)  # type: ignore[union-attr]
    local = running(job(remote(executor="local")), started("a", kind="run"))
    (event,) = finish(local, done())
    assert (event.executor, event.queued_s) == (None, None)  # type: ignore[union-attr]


def test_a_lost_attempt_is_interrupted_and_the_step_runs_again() -> None:
    state = running(CLUSTER, START, placed("a"))
    (event,) = finish(state, LOST)
    assert event == interrupted("a", reason="worker", duration_s=2.0)
    state = running(CLUSTER, START, placed("a"), event)
    assert (state.steps["a"].failures, state.steps["a"].losses) == (0, 1)
    assert ready_steps(state) == ["a"]


@pytest.mark.parametrize("on_unknown", ["ask", "fail"])
def test_a_lost_attempt_may_have_done_its_work(on_unknown: str) -> None:
    definition = job(remote(on_unknown=on_unknown))
    state = running(definition, START, placed("a"), interrupted("a", reason="worker"))
    assert state.steps["a"].in_doubt == "work"
    assert ready_steps(state) == []


def test_an_attempt_that_no_worker_took_has_done_nothing() -> None:
    definition = job(remote(on_unknown="ask"))
    state = running(definition, START, interrupted("a"))
    assert state.steps["a"].in_doubt is None
    assert ready_steps(state) == ["a"]
    state = running(definition, START, placed("a"), unplaced("a"), interrupted("a"))
    assert state.steps["a"].in_doubt is None


def lose(times: int) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    for attempt in range(1, times + 1):
        events += [
            started("a", attempt, kind="run", executor="cluster"),
            placed("a", attempt),
            interrupted("a", attempt, reason="worker"),
        ]
    return events


def test_a_step_that_loses_its_workers_fails() -> None:
    before = lose(LOST_MAX)[:-1]
    (event,) = finish(running(CLUSTER, *before), LOST, LOST_MAX)
    assert isinstance(event, StepFailed)
    assert event.kind == "environment"
    assert "3 workers of 'cluster' were lost" in event.message
    assert event.retry_at is None
    (event,) = finish(running(CLUSTER, *lose(LOST_MAX - 1)[:-1]), LOST, LOST_MAX - 1)
    assert isinstance(event, StepInterrupted)


def test_the_loss_of_the_last_worker_is_final_and_keeps_the_log() -> None:
    state = running(CLUSTER, *lose(LOST_MAX)[:-1])
    outcome = Interrupted("worker", duration_s=2.5, log=pack("its log")[0])
    command = FinishAttempt("a", LOST_MAX, outcome, now=EPOCH_S)
    message = (
        "3 workers of 'cluster' were lost while they ran it; it may need more memory or time than "
        "they have"
    )
    assert lost_too_often(state, command, outcome) == Failed(
        "environment", message, 2.5, final=True, log=outcome.log
    )
    assert lost_too_often(state, command, replace(outcome, reason="signal")) is None


def test_a_resume_of_the_failed_step_counts_losses_anew() -> None:
    events = [*lose(LOST_MAX)[:-1], failed("a", LOST_MAX, kind="environment")]
    state = running(CLUSTER, *events, JobInterrupted(signal="SIGTERM"), resumed())
    assert state.steps["a"].losses == 0


WAITING = job(remote(queue_timeout_s=60.0))


def test_an_attempt_that_no_worker_takes_in_time_fails() -> None:
    state = running(WAITING, START)
    queues = WorkQueues(state)
    assert queues.next_due(EPOCH_S) == EPOCH_S + 60
    assert queues.take_overdue(EPOCH_S + 59.9) == []
    assert queues.take_overdue(EPOCH_S + 60) == [ExpireQueued("a", 1)]
    (event,) = decide(state, ExpireQueued("a", 1))
    assert isinstance(event, StepFailed)
    assert (event.kind, event.retry_at, event.queued_s) == ("timeout", None, None)
    assert event.message == "no worker took it within 1 m 00 s, its queue_timeout on 'cluster'"
    (event,) = decide(state, ExpireQueued("a", 1, "0 of 2 workers have gpu"))
    assert isinstance(event, StepFailed)
    assert event.message.endswith(
        ": 0 of 2 workers have gpu (`orc executors` shows what workers have)"
    )
    assert decide(state, ExpireQueued("a", 2)) == []


def test_an_attempt_that_is_placed_waits_no_more() -> None:
    state = running(WAITING, START, placed("a"))
    assert WorkQueues(state).next_due(EPOCH_S) is None
    assert WorkQueues(state).take_overdue(EPOCH_S + 1e6) == []
    assert decide(state, ExpireQueued("a", 1)) == []


def test_the_wait_begins_anew_when_the_place_is_lost_and_goes_on_in_a_resume() -> None:
    state = running(WAITING, START, placed("a"), unplaced("a"))
    assert WorkQueues(state).next_due(EPOCH_S) == EPOCH_S + 60
    state = running(WAITING, START, JobInterrupted(signal="SIGTERM"), resumed())
    assert WorkQueues(state).take_overdue(EPOCH_S + 60) == [ExpireQueued("a", 1)]


def many(**fields: Any) -> Any:
    away = [remote(f"r{number}") for number in range(3)]
    here = [remote(f"h{number}", executor="local") for number in range(3)]
    return job(*(each for pair in zip(away, here, strict=True) for each in pair), **fields)


def test_steps_elsewhere_take_no_slots_of_this_machine() -> None:
    assert ready_steps(running(many(total=1))) == ["r0", "h0", "r1", "r2"]
    away = started("r0", kind="run", executor="cluster")
    assert ready_steps(running(many(total=1), away)) == ["h0", "r1", "r2"]
    assert ready_steps(running(many(total=1), started("h0", kind="run"))) == ["r0", "r1", "r2"]


def test_the_limit_of_an_executor_holds_for_its_steps_only() -> None:
    definition = many(total=4, lanes={"cluster": 1})
    assert ready_steps(running(definition)) == ["r0", "h0", "h1", "h2"]
    away = started("r0", kind="run", executor="cluster")
    assert ready_steps(running(definition, away)) == ["h0", "h1", "h2"]
    events = (away, placed("r0"), succeeded("r0"))
    assert ready_steps(running(definition, *events)) == ["h0", "r1", "h1", "h2"]


def test_a_need_that_a_resume_reopens_holds_the_retry_of_an_attempt_elsewhere() -> None:
    clean = remote(needs=("b",), condition="always()", runs_after="any")
    definition = job(step("b", kind="run", run="false"), clean)
    events: list[AnyEvent] = [
        started("b", kind="run"),
        failed("b"),
        START,
        placed("a"),
        resumed(),
        failed("a", retry_at=0.0),
    ]
    state = running(definition, *events)
    assert (state.steps["a"].status, state.steps["a"].needs_left) == ("pending", 1)
    assert ready_steps(state) == ["b"]

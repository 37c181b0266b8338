"""Jobs that die at every commit and after every event, by cancel or by signal, and are resumed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from orc.ledger import Ledger, Recorded
from orc.ledger.events import (
    JobCancelled,
    JobInterrupted,
    LlmRequested,
    LlmResponded,
    StepFailed,
    StepInterrupted,
    StepStarted,
    StepSucceeded,
)
from orc.scheduler.core.commands import ResumeJob
from orc.scheduler.runner import Runner
from tests.builders import EPOCH_S, JOB, OWNER
from tests.model import CONTENT, Choice, Plan, Task, Try, foresee
from tests.scheduler.harness import Crash, Stand, empty_stand, stand_for
from tests.scheduler.referee import Referee
from tests.scheduler.test_properties import (
    check_after_crashes,
    check_crashes_change_no_ends_or_outputs,
    check_cut_of,
    referee_for,
    watch,
)

TWICE = (Try(1.0, "rate_limit"), Try(1.0))
LATE = (Try(1.0, "timeout"), Try(1.0))
SHAPES = {
    "chain": Plan((Task("a"), Task("b", ("a",)), Task("c", ("b",), lane=""))),
    "diamond": Plan(
        (Task("a"), Task("b", ("a",)), Task("c", ("a",), tries=(Try(2.0),)), Task("d", ("b", "c"))),
        total=2,
    ),
    "retries": Plan((Task("a", tries=TWICE, attempts_max=3), Task("b", ("a",)))),
    "content": Plan(
        (Task("a", tries=(Try(1, CONTENT), Try(1)), attempts_max=2, retry_on=(CONTENT,)),)
    ),
    "failure": Plan(
        (Task("a", tries=(Try(1.0, "auth"),)), Task("b", ("a",)), Task("c", ("b",)), Task("d"))
    ),
    "tolerance": Plan(
        (Task("a", tries=(Try(1.0, "auth"),), tolerated=True), Task("b", ("a",))), total=1
    ),
    "lanes": Plan(
        tuple(Task(f"s{i}", lane="beta" if i % 2 else "alpha") for i in range(6)),
        total=3,
        limits={"alpha": 1},
    ),
    "fallback": Plan(
        (
            Task("a", tries=(Try(1.0, "auth"),), fallback=(Choice("beta", "n"),)),
            Task("b", ("a",), tries=TWICE, attempts_max=2, fallback=(Choice("beta", "n"),)),
        )
    ),
    "circuit": Plan(
        tuple(Task(f"s{i}", tries=LATE, attempts_max=3) for i in range(3)),
        total=2,
        threshold=2,
        cooldown_s=4.0,
    ),
    "detour": Plan(
        tuple(Task(f"s{i}", tries=LATE[:1], fallback=(Choice("beta", "n"),)) for i in range(3)),
        total=1,
        threshold=1,
    ),
    "room": Plan(tuple(Task(f"s{i}", tries=TWICE, attempts_max=2) for i in range(4)), total=3),
}


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Plan:
    return SHAPES[request.param]


# The shapes share most of their kinds of events, so that every second cut sees each of them. All
# cuts are tried with `torture`.
@pytest.mark.parametrize("first", [1, pytest.param(2, marks=pytest.mark.torture)])
def test_each_kind_of_job_cut_after_any_event_is_resumed_to_the_same_end(
    shape: Plan, first: int
) -> None:
    with stand_for(shape) as stand:
        stand.run()
        for version in range(first, len(stand.stream()), 2):
            check_cut_of(stand, version)


# The ledger then equals that after a cut. Simulated jobs die there in every run.
@pytest.mark.torture
@pytest.mark.parametrize("dies", ["before", "after"])
def test_dying_at_every_commit_changes_no_ends_or_outputs(shape: Plan, dies: str) -> None:
    with stand_for(shape) as stand:
        commits: list[float] = []
        stand.run(observe=lambda now, batch: commits.append(now))
    for number in range(1, len(commits) + 1):
        check_crashes_change_no_ends_or_outputs(shape, [(number, dies)])


def test_a_job_that_dies_again_and_again_still_ends(shape: Plan) -> None:
    with stand_for(shape) as stand:
        referee = referee_for(stand)
        died = 0
        while stand.state().status not in ("succeeded", "failed"):
            try:
                watch(stand, referee, commits=3 + died)
            except Crash:
                died += 1
                stream = stand.stream()
                referee.recall([recorded.event for recorded in stream[referee.versions :]])
        assert died > 0
        check_after_crashes(stand, referee, died)


def test_a_committed_reply_answers_the_next_attempt_without_a_call() -> None:
    with stand_for(Plan((Task("a"),))) as stand:
        with pytest.raises(Crash):
            stand.run(commits=3)  # job.started with step.started, llm.requested, llm.responded
        assert isinstance(stand.stream()[-1].event, LlmResponded)
        state = stand.run()
        assert state.status == "succeeded"
        assert stand.models["alpha"].paid == {"a": 1}
        assert types(stand)[-4:] == ["step.started", "cache.hit", "step.succeeded", "job.succeeded"]
        assert [e.attempt for e in events(stand, StepStarted)] == [1, 2]
        assert [e.reason for e in events(stand, StepInterrupted)] == ["crash"]


def test_a_reply_whose_content_failed_the_step_is_asked_for_again() -> None:
    plan = SHAPES["content"]
    with stand_for(plan) as stand:
        assert stand.run().status == "succeeded"
        assert "cache.hit" not in types(stand)
        assert stand.models["alpha"].paid == {"a": 2}
        assert [event.on_content for event in events(stand, StepFailed)] == [True]


def test_a_call_in_doubt_is_sent_again_under_the_same_number() -> None:
    with stand_for(Plan((Task("a"),))) as stand:
        with pytest.raises(Crash):
            stand.run(commits=2)
        assert isinstance(stand.stream()[-1].event, LlmRequested)
        stand.run()
        assert [(e.attempt, e.call) for e in events(stand, LlmRequested)] == [(1, 1), (2, 1)]
        assert [(e.attempt, e.call) for e in events(stand, LlmResponded)] == [(2, 1)]


def test_a_failed_job_resumes_with_what_failed_and_what_was_skipped_for_it() -> None:
    plan = Plan((Task("a", tries=(Try(1, "auth"), Try(1))), Task("b", ("a",)), Task("c")))
    with stand_for(plan) as stand:
        assert stand.run().status == "failed"
        state = stand.run()
        assert state.status == "succeeded"
        assert [(e.step, e.attempt) for e in events(stand, StepSucceeded)] == [
            ("c", 1),
            ("a", 2),
            ("b", 1),
        ]


def test_a_retry_still_to_come_keeps_its_time_over_a_crash() -> None:
    task = Task("a", tries=TWICE, attempts_max=2, initial_s=8.0)
    with stand_for(Plan((task,))) as stand:
        with pytest.raises(Crash):
            stand.run(commits=4)
        assert stand.wall_s == EPOCH_S + 1.0
        stand.wall_s += 3.0
        starts: list[float] = []
        stand.run(observe=lambda now, batch: starts.append(now))
        assert starts[1] == 5.0  # due nine seconds after the start, four of which have passed


@pytest.mark.parametrize("jump_s", [-86400.0, 86400.0])
def test_a_jump_of_the_wall_clock_while_a_retry_waits_changes_no_wait(jump_s: float) -> None:
    task = Task("a", tries=TWICE, attempts_max=2, initial_s=8.0)
    with stand_for(Plan((task,))) as stand:
        referee = referee_for(stand)
        watch(stand, referee, wall=lambda now: now if now < 5.0 else now + jump_s)
        assert referee.starts == {"a": [0.0, 9.0]}
        times = [recorded.recorded_at for recorded in stream_after_submission(stand)]
        assert (times == sorted(times)) == (jump_s > 0)


def test_a_retry_long_due_begins_at_once_on_resume() -> None:
    task = Task("a", tries=TWICE, attempts_max=2, initial_s=8.0)
    with stand_for(Plan((task,))) as stand:
        with pytest.raises(Crash):
            stand.run(commits=4)
        stand.wall_s += 86400.0
        state = stand.run()
        assert state.status == "succeeded"
        assert stand.wall_s == EPOCH_S + 1.0 + 86400.0 + 1.0


def test_a_clock_set_back_makes_a_retry_wait_no_longer_than_its_delay() -> None:
    task = Task("a", tries=TWICE, attempts_max=2, initial_s=8.0)
    with stand_for(Plan((task,))) as stand:
        with pytest.raises(Crash):
            stand.run(commits=4)
        stand.wall_s -= 86400.0
        began_s = stand.wall_s
        assert stand.run().status == "succeeded"
        assert stand.wall_s == began_s + 8.0 + 1.0


def test_a_clock_set_back_gives_an_interrupted_step_no_more_than_its_total_timeout() -> None:
    task = Task("a", tries=(Try(100.0),), total_timeout_s=10.0)
    with stand_for(Plan((task,))) as stand:
        stand.run(beside=stops_with(signal.SIGTERM, after_s=1.0))
        stand.wall_s -= 86400.0
        began_s = stand.wall_s
        assert stand.run().status == "failed"
        assert stand.wall_s == began_s + 10.0


def test_a_step_in_flight_at_a_crash_gets_no_more_than_its_total_timeout() -> None:
    task = Task("a", tries=(Try(100.0),), total_timeout_s=10.0)
    with stand_for(Plan((task,))) as stand:
        with pytest.raises(Crash):
            stand.run(commits=2)
        stand.wall_s -= 86400.0
        began_s = stand.wall_s
        assert stand.run().status == "failed"
        assert stand.wall_s == began_s + 10.0


def test_the_jobs_timeout_counts_owned_time_over_all_resumes() -> None:
    plan = Plan((Task("a", tries=(Try(100.0),)),), timeout_s=10.0)
    with stand_for(plan) as stand:
        stand.run(beside=stops_with(signal.SIGTERM, after_s=4.0))
        stand.wall_s += 86400.0
        began_s = stand.wall_s
        assert stand.run().status == "failed"
        assert stand.wall_s == began_s + 6.0
        began_s = stand.wall_s
        state = stand.run(opening=ResumeJob(OWNER, timeout_s=200.0))
        assert state.status == "succeeded"
        assert stand.wall_s == began_s + 100.0


def test_a_cancel_signal_ends_the_job_and_a_resume_goes_on() -> None:
    plan = Plan((Task("a", tries=(Try(5.0),)), Task("b", ("a",)), Task("c", tries=(Try(0.5),))))
    with stand_for(plan) as stand:
        referee = referee_for(stand)
        state = watch(stand, referee, beside=cancels(after_s=1.0))
        assert state.status == "cancelled"
        assert stand.wall_s - EPOCH_S <= 1.25
        statuses = {name: step.status for name, step in state.steps.items()}
        assert statuses == {"a": "cancelled", "b": "cancelled", "c": "succeeded"}
        assert [(e.signal_id, e.reason) for e in events(stand, JobCancelled)] == [(1, "enough")]
        assert [e.reason for e in events(stand, StepInterrupted)] == ["cancel"]
        assert watch(stand, referee).status == "succeeded"
        referee.finished()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_the_job_and_a_resume_goes_on(number: signal.Signals) -> None:
    plan = Plan((Task("a", tries=(Try(5.0),)), Task("b", ("a",))))
    with stand_for(plan) as stand:
        state = stand.run(beside=stops_with(number, after_s=1.0))
        assert state.status == "stopped"
        assert {step.status for step in state.steps.values()} == {"pending"}
        assert [e.signal for e in events(stand, JobInterrupted)] == [number.name]
        assert [e.reason for e in events(stand, StepInterrupted)] == ["signal"]
        assert stand.run().status == "succeeded"
        assert stand.state().steps["a"].attempts == 2


def test_a_signal_while_all_wait_stops_at_once_and_keeps_the_wait() -> None:
    task = Task("a", tries=TWICE, attempts_max=2, initial_s=50.0, longest_s=60.0)
    with stand_for(Plan((task,))) as stand:
        state = stand.run(beside=stops_with(signal.SIGTERM, after_s=2.0))
        assert (state.status, state.steps["a"].status) == ("stopped", "waiting")
        assert stand.wall_s == EPOCH_S + 2.0
        assert stand.run().status == "succeeded"
        assert stand.wall_s == EPOCH_S + 52.0


def test_a_ledger_that_fails_ends_the_run_with_its_own_error() -> None:
    with stand_for(Plan((Task("a"),))) as stand, pytest.raises(Crash):
        stand.run(commits=1, dies="before")


def test_a_stream_with_its_submission_alone_starts() -> None:
    plan = SHAPES["chain"]
    with stand_for(plan) as whole, empty_stand(plan) as cut:
        whole.run()
        cut.truncate(whole.stream()[:1], whole)
        referee = Referee(plan, epoch_s=EPOCH_S)
        referee.recall([recorded.event for recorded in cut.stream()])
        watch(cut, referee)
        assert referee.attempts == {n: f.attempts for n, f in foresee(plan).fates.items()}


@pytest.fixture(autouse=True)
def harmless_signals() -> Iterator[None]:
    """Ignore stop signals that arrive without a runner, so that they do not end the tests."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *args: None) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def stops_with(number: signal.Signals, *, after_s: float) -> Any:
    async def stop(runner: Runner, ledger: Ledger) -> None:
        await trio.sleep(after_s)
        os.kill(os.getpid(), number)

    return stop


def cancels(*, after_s: float) -> Any:
    async def cancel(runner: Runner, ledger: Ledger) -> None:
        await trio.sleep(after_s)
        ledger.send_signal(JOB, kind="cancel", data={"reason": "enough"}, created_at="now")

    return cancel


def stream_after_submission(stand: Stand) -> list[Recorded]:
    return stand.stream()[1:]


def types(stand: Stand) -> list[str]:
    return [recorded.event.type for recorded in stand.stream()]


def events(stand: Stand, kind: type[Any]) -> list[Any]:
    return [r.event for r in stand.stream() if isinstance(r.event, kind)]

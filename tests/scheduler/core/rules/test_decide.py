"""Given events, when a command, then events: each rule acts, refuses, or does nothing."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from orc.ledger.definition import ApprovalDef, BudgetDef, ForEachDef, JobDef, RetryDef, StepDef
from orc.ledger.events import (
    EVENT_TYPES,
    AnyEvent,
    ApprovalDecided,
    ApprovalRequested,
    BatchAccepted,
    BatchEnded,
    BatchProgressed,
    BatchSubmitted,
    BlobRemoved,
    BudgetExceeded,
    BudgetRaised,
    ChildShape,
    HookEnded,
    HookStarted,
    JobCancelled,
    JobCancelling,
    JobFailed,
    JobInterrupted,
    JobNoted,
    JobResumed,
    JobStarted,
    JobSucceeded,
    JobTagged,
    JobWaiting,
    Payload,
    ScoreRecorded,
    StepConfigured,
    StepExpanded,
    StepStarted,
)
from orc.scheduler.core.commands import (
    CancelJob,
    ExpireStep,
    Failed,
    FinishAttempt,
    Interrupted,
    InterruptJob,
    RecordCall,
    ResumeJob,
    Settle,
    StartAttempt,
    StartJob,
    SubmitJob,
    Succeeded,
    TimeOutJob,
)
from orc.scheduler.core.fold.evolve import JobState, evolve
from orc.scheduler.core.fold.queues import WorkQueues
from orc.scheduler.core.rules.decide import decide
from tests.builders import (
    EPOCH_S,
    OWNER,
    amended,
    cache_hit,
    call_failed,
    closed,
    failed,
    file,
    fold,
    interrupted,
    job,
    new_state,
    opened,
    placed,
    ready_steps,
    reattached,
    record,
    requested,
    responded,
    resumed,
    reused,
    running,
    skipped,
    started,
    step,
    submitted,
    succeeded,
    switched,
    tool_called,
    tool_returned,
    unplaced,
    written,
)

CHAIN = job(step("a"), step("b", needs="a"), step("c", needs="b"), step("z"))
PROMPT = job(step("a", prompt="?"))


def finish(outcome: Any, step_id: str = "a", attempt: int = 1, **fields: Any) -> FinishAttempt:
    return FinishAttempt(step_id, attempt, outcome, now=EPOCH_S, **fields)


def fail(kind: Any = "timeout", **fields: Any) -> Failed:
    return Failed(kind=kind, message="no", duration_s=1.0, **fields)


def well(*paths: str) -> Succeeded:
    return Succeeded(Payload(value=1), 1.0, files=tuple(file(path) for path in paths))


def told(events: list[AnyEvent]) -> list[str]:
    return [f"{event.type} {getattr(event, 'step', '')}".strip() for event in events]


def test_a_submission_is_the_first_event_and_no_other() -> None:
    event = submitted(CHAIN)
    assert decide(new_state(CHAIN), SubmitJob(event)) == [event]
    with pytest.raises(AssertionError):
        decide(fold(CHAIN), SubmitJob(event))


def test_a_job_starts_once() -> None:
    assert decide(fold(CHAIN), StartJob(OWNER)) == [JobStarted(owner=OWNER)]
    with pytest.raises(AssertionError):
        decide(running(CHAIN), StartJob(OWNER))


def test_a_started_attempt_names_its_number_its_needs_and_its_deadline() -> None:
    definition = job(step("a"), step("b", needs="a", total_timeout_s=5.0))
    state = running(definition, started("a"), succeeded("a"))
    (event,) = decide(state, StartAttempt("b", EPOCH_S))
    assert event == started("b", needs=("a",), deadline_at=EPOCH_S + 5.0)


def test_a_later_attempt_keeps_the_first_deadline() -> None:
    definition = job(step("a", total_timeout_s=5.0))
    state = running(
        definition,
        started("a", deadline_at=EPOCH_S + 5.0),
        failed("a", retry_at=1.0),
    )
    (event,) = decide(state, StartAttempt("a", EPOCH_S + 1.0))
    assert event == started("a", 2, deadline_at=EPOCH_S + 5.0)


@pytest.mark.parametrize(
    "events",
    [[started("a")], [started("a"), succeeded("a")], [started("a"), failed("a")]],
    ids=["running", "succeeded", "failed"],
)
def test_an_attempt_begins_only_of_a_step_that_waits(events: list[AnyEvent]) -> None:
    with pytest.raises(AssertionError):
        decide(running(CHAIN, *events), StartAttempt("a", EPOCH_S))


def test_an_attempt_does_not_begin_before_its_needs_have_ended() -> None:
    with pytest.raises(AssertionError):
        decide(running(CHAIN), StartAttempt("b", EPOCH_S))


def test_a_call_is_recorded_for_the_attempt_that_runs_and_no_other() -> None:
    state = running(PROMPT, started("a"))
    assert decide(state, RecordCall(requested("a"))) == [requested("a")]
    with pytest.raises(AssertionError):
        decide(state, RecordCall(requested("a", attempt=2)))
    with pytest.raises(AssertionError):
        decide(running(PROMPT), RecordCall(requested("a")))


def test_a_success_records_its_files_first_in_the_same_batch() -> None:
    events = decide(running(CHAIN, started("a")), finish(well("demo/x", "demo/y")))
    assert told(events) == ["file.written a", "file.written a", "step.succeeded a"]


def test_a_file_with_the_content_that_it_had_is_written_with_no_change() -> None:
    state = running(CHAIN, started("a"), written("a", "demo/x"), interrupted("a"), started("a", 2))
    events = decide(state, finish(well("demo/x", "demo/y"), attempt=2))
    assert [getattr(event, "reason", None) for event in events] == ["nochange", None, None]


def test_a_file_of_another_step_fails_the_later_one() -> None:
    state = running(CHAIN, started("a"), written("a", "demo/x"), succeeded("a"), started("z"))
    (event,) = decide(state, finish(well("demo/x"), "z"))
    assert (event.type, event.kind) == ("step.failed", "path")  # type: ignore[union-attr]
    assert "'a'" in event.message  # type: ignore[union-attr, operator]


def test_an_outcome_of_an_attempt_that_does_not_run_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        decide(running(CHAIN), finish(well()))
    with pytest.raises(AssertionError):
        decide(running(CHAIN, started("a")), finish(well(), attempt=2))


def test_a_failed_step_skips_everything_downstream_and_nothing_else() -> None:
    events = decide(running(CHAIN, started("a")), finish(fail()))
    assert told(events) == ["step.failed a", "step.skipped b", "step.skipped c"]
    reasons = [(e.reason, e.because) for e in events[1:]]  # type: ignore[union-attr]
    assert reasons == [("dependency_failed", ("a",)), ("dependency_skipped", ("b",))]


def test_a_tolerated_failure_skips_nothing_and_lets_the_rest_start() -> None:
    definition = job(step("a", continue_on_error=True), step("b", needs="a"))
    state = running(definition, started("a"))
    (event,) = decide(state, finish(fail()))
    assert event.tolerated is True  # type: ignore[union-attr]
    evolve(state, record([event], after=state.version)[0])
    assert ready_steps(state) == ["b"]


RETRYING = job(step("a", retry=RetryDef(max_attempts=3), retry_on=("timeout", "rate_limit")))


def test_a_failure_of_a_retried_kind_waits() -> None:
    (event,) = decide(running(RETRYING, started("a")), finish(fail(), wait_s=2.5))
    assert event.type == "step.failed"
    assert (event.delay_s, event.retry_at) == (2.5, EPOCH_S + 2.5)


@pytest.mark.parametrize("outcome", [fail("auth"), fail(final=True)], ids=["kind", "final"])
def test_a_failure_of_another_kind_is_final(outcome: Failed) -> None:
    (event,) = decide(running(RETRYING, started("a")), finish(outcome))
    assert event.type == "step.failed"
    assert event.retry_at is None


def test_the_last_attempt_is_final_and_interrupted_ones_do_not_count() -> None:
    twice: list[AnyEvent] = [
        started("a"),
        failed("a", retry_at=1.0),
        started("a", 2),
        interrupted("a", 2),
    ]
    state = running(RETRYING, *twice, started("a", 3))
    (event,) = decide(state, finish(fail(), attempt=3, wait_s=1.0))
    assert event.retry_at is not None  # type: ignore[union-attr]
    for later in (event, started("a", 4)):
        evolve(state, record([later], after=state.version)[0])
    (event,) = decide(state, finish(fail(), attempt=4, wait_s=1.0))
    assert event.retry_at is None  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["exit_code", "signal", "timeout", "schema"])
def test_without_kinds_any_failure_of_the_work_itself_is_retried(kind: str) -> None:
    definition = job(step("a", retry=RetryDef(max_attempts=2)))
    (event,) = decide(running(definition, started("a")), finish(fail(kind), wait_s=1.0))
    assert event.retry_at is not None  # type: ignore[union-attr]


def test_a_retry_that_would_begin_after_the_deadline_is_not_waited_for() -> None:
    definition = job(step("a", retry=RetryDef(max_attempts=9), total_timeout_s=5.0))
    state = running(definition, started("a", deadline_at=EPOCH_S + 5.0))
    (event,) = decide(state, finish(fail(), wait_s=5.0))
    assert event.retry_at is None  # type: ignore[union-attr]
    (event,) = decide(state, finish(fail(), wait_s=4.9))
    assert event.retry_at is not None  # type: ignore[union-attr]


def test_a_waiting_step_expires_at_its_deadline_and_says_why() -> None:
    definition = job(step("a", total_timeout_s=5.0))
    waits = failed("a", retry_at=9.0, message="the gate was shut")
    state = running(definition, started("a", deadline_at=EPOCH_S + 5.0), waits)
    queues = WorkQueues(state)
    assert queues.take_overdue(EPOCH_S + 4.9) == []
    assert queues.next_due(EPOCH_S) == EPOCH_S + 5.0
    assert queues.take_overdue(EPOCH_S + 5.0) == [ExpireStep("a")]
    assert queues.take_overdue(EPOCH_S + 5.0) == []
    (event,) = decide(state, ExpireStep("a"))
    assert "the gate was shut" in event.message  # type: ignore[union-attr, operator]
    assert event.retry_at is None  # type: ignore[union-attr]


def test_an_interrupted_attempt_leaves_its_step_to_be_started_again() -> None:
    state = running(CHAIN, started("a"))
    (event,) = decide(state, finish(Interrupted("cancel", 1.0)))
    assert event == interrupted("a", reason="cancel", duration_s=1.0)
    evolve(state, record([event], after=state.version)[0])
    assert ready_steps(state) == ["z", "a"]


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (InterruptJob("SIGINT"), JobInterrupted(signal="SIGINT")),
        (CancelJob(4, "enough"), JobCancelled(signal_id=4, reason="enough")),
    ],
    ids=["interrupt", "cancel"],
)
def test_a_job_stops_when_no_attempt_runs_any_more(command: Any, event: AnyEvent) -> None:
    assert decide(running(CHAIN), command) == [event]


def test_an_interrupted_job_has_no_attempt_that_runs() -> None:
    with pytest.raises(AssertionError):
        decide(running(CHAIN, started("a")), InterruptJob("SIGINT"))


def test_cancelling_a_job_whose_owner_died_ends_the_attempts_that_it_left() -> None:
    events = decide(running(CHAIN, started("a")), CancelJob())
    assert events == [interrupted("a", reason="crash"), JobCancelled()]


def test_the_jobs_timeout_skips_what_has_not_ended_and_fails_the_job() -> None:
    state = running(CHAIN, started("a"), succeeded("a"), started("b"), failed("b", retry_at=9.0))
    events = decide(state, TimeOutJob())
    assert told(events) == ["step.skipped b", "step.skipped c", "step.skipped z", "job.failed"]
    assert isinstance(events[-1], JobFailed)
    assert events[-1].failures[0].kind == "timeout"


def test_a_job_ends_when_every_step_has_and_not_before() -> None:
    definition = job(step("a"), step("b"))
    state = running(definition, started("a"), succeeded("a"))
    assert decide(state, Settle()) == []
    for event in (started("b"), succeeded("b")):
        evolve(state, record([event], after=state.version)[0])
    assert decide(state, Settle()) == [JobSucceeded()]
    evolve(state, record([JobSucceeded()], after=state.version)[0])
    assert decide(state, Settle()) == []


def test_a_job_fails_with_the_failures_that_were_not_tolerated() -> None:
    definition = job(step("a"), step("b", continue_on_error=True))
    bad: list[AnyEvent] = [started("a"), failed("a"), started("b"), failed("b", tolerated=True)]
    (event,) = decide(running(definition, *bad), Settle())
    assert isinstance(event, JobFailed)
    assert [failure.step for failure in event.failures] == ["a"]
    (event,) = decide(running(definition, *bad[2:], started("a"), succeeded("a")), Settle())
    assert event == JobSucceeded()


def test_a_resumed_job_interrupts_the_attempts_in_flight() -> None:
    state = running(CHAIN, started("a"), succeeded("a"), started("b"), started("z"))
    events = decide(state, ResumeJob(OWNER, timeout_s=9.0))
    assert told(events) == ["job.resumed", "step.interrupted b", "step.interrupted z"]
    assert events[0].timeout_s == 9.0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "state", [fold(CHAIN), running(CHAIN, JobSucceeded())], ids=["submitted", "succeeded"]
)
def test_a_job_that_has_not_begun_or_has_succeeded_is_not_resumed(state: JobState) -> None:
    with pytest.raises(AssertionError):
        decide(state, ResumeJob(OWNER))


def test_a_resume_reopens_failed_skipped_and_cancelled_steps() -> None:
    events: list[AnyEvent] = [
        started("a"),
        failed("a"),
        skipped("b", "a"),
        skipped("c", "b"),
        JobCancelled(),
    ]
    state = running(CHAIN, *events, resumed())
    assert {name: s.status for name, s in state.steps.items()} == dict.fromkeys("abcz", "pending")
    assert ready_steps(state) == ["a", "z"]
    assert state.steps["a"].attempts == 1
    assert state.steps["a"].failures == 0


def lanes(**fields: Any) -> JobDef:
    return job(*(step(f"s{i}", prompt="?", provider="ab"[i % 2]) for i in range(6)), **fields)


def test_steps_are_ready_in_the_order_in_which_they_became_ready() -> None:
    assert ready_steps(running(lanes(total=4))) == ["s0", "s1", "s2", "s3"]


def test_a_full_lane_does_not_hold_up_another() -> None:
    state = running(lanes(lanes={"a": 1}))
    assert ready_steps(state) == ["s0", "s1", "s3", "s5"]


def test_a_lane_without_a_limit_of_its_own_has_all_the_room_there_is() -> None:
    state = running(lanes(total=4), started("s0"), started("s2"))
    assert ready_steps(state) == ["s1", "s3"]
    state = running(lanes(total=4), started("s0"), started("s2"), started("s4"))
    assert ready_steps(state) == ["s1"]
    state = running(job(*(step(n, prompt="?") for n in "abcd"), total=3), started("a"))
    assert ready_steps(state) == ["b", "c"]


EVERY: list[AnyEvent] = [
    submitted(PROMPT),
    JobStarted(owner=OWNER),
    started("a"),
    requested("a"),
    call_failed("a"),
    failed("a", retry_at=0.0),
    opened(retry_at=0.0),
    started("a", 2),
    requested("a", 2, 2),
    responded("a", 2, 2),
    closed(),
    tool_called("a", 2, 2),
    tool_returned("a", 2, 2),
    interrupted("a", 2),
    JobInterrupted(signal="SIGTERM"),
    resumed(),
    started("a", 3),
    cache_hit("a", 3),
    written("a", "demo/x"),
    succeeded("a", 3),
    JobSucceeded(),
]
OTHERS: list[AnyEvent] = [
    skipped("a"),
    switched("a", 0),
    reused("a"),
    amended(PROMPT, "a"),
    JobCancelled(),
    JobFailed(failures=(), failures_total=0),
    JobWaiting(reason="approval", steps=()),
    JobCancelling(steps=("a",)),
    BlobRemoved(digests=(), size_bytes=0, cause="prune"),
    ScoreRecorded(step="a", attempt=1, name="exact", value=True, who="human", by="me"),
    JobTagged(added=("good",)),
    JobNoted(text=Payload(value="fine")),
    HookStarted(hook="failed", occasion=3),
    HookEnded(hook="failed", occasion=3, outcome="exited", exit_code=0),
]
SHORT: list[AnyEvent] = [
    started("a"),
    BudgetExceeded(step="a", attempt=1, limit="max_calls", maximum=1, spent=1, needed=1),
    BudgetRaised(max_calls=2),
]
ELSEWHERE: list[AnyEvent] = [started("a"), placed("a"), reattached("a"), unplaced("a")]
BATCHED: list[AnyEvent] = [
    started("a"),
    BatchSubmitted(batch=1, name="b-1", provider="fake", model="m", requests=1, size_bytes=9),
    requested("a", batch=1, custom_id="b-1-a"),
    BatchAccepted(batch=1, server_id="batch_1"),
    BatchProgressed(batch=1, answered=1, failed=0),
    BatchEnded(batch=1, outcome="completed", answered=1, failed=0),
]
ASKED: list[AnyEvent] = [
    StepStarted(step="gate", attempt=1, kind="approval", needs=()),
    ApprovalRequested(step="gate", attempt=1, message="?", options=("approve",)),
    ApprovalDecided(step="gate", attempt=1, option="approve"),
]
EXPANDED: list[AnyEvent] = [
    StepConfigured(step="all", settings={"max_parallel": 2}),
    StepStarted(step="all", attempt=1, kind="for_each", needs=()),
    StepExpanded(
        step="all",
        attempt=1,
        children=("all[0]",),
        first=0,
        total=1,
        shapes=(ChildShape(kind="value"),),
    ),
]


def test_evolve_accepts_every_type_of_event() -> None:
    state = new_state(PROMPT)
    for recorded in record(EVERY):
        if recorded.event.type == "step.started":
            ready_steps(state)
        evolve(state, recorded)
    assert (state.status, state.version) == ("succeeded", len(EVERY))
    for event in OTHERS:
        evolve(running(PROMPT), record([event], after=2)[0])
    holding = StepDef(id="all", kind="value", for_each=ForEachDef(items=[1]))
    asking = StepDef(id="gate", kind="approval", approval=ApprovalDef(message="?"))
    state = running(job(holding, asking), *ASKED, *EXPANDED)
    assert (state.steps["gate"].question, "all[0]" in state.steps) == (None, True)
    bounded = replace(PROMPT, budget=BudgetDef(max_calls=1))
    state = running(bounded, *SHORT)
    assert (state.steps["a"].waits_for, state.raised_budgets[""].max_calls) == ("budget", 2)
    state = running(job(step("a", kind="run", run="true", executor="cluster")), *ELSEWHERE)
    assert (state.steps["a"].placement, state.steps["a"].status) == (None, "running")
    state = running(PROMPT, *BATCHED)
    assert (state.running_total, state.running_elsewhere) == (1, 1)
    assert state.batches[1].text() == "completed, 1 of 1 answered"
    state = running(PROMPT, *BATCHED, replace(responded("a"), batch=1))
    assert (state.running_elsewhere, state.batches[1].waiting) == (0, {})
    every = [*EVERY, *OTHERS, *ASKED, *EXPANDED, *SHORT, *ELSEWHERE, *BATCHED]
    assert {event.type for event in every} == set(EVENT_TYPES)


def test_a_resume_calls_the_provider_that_replaces_the_others() -> None:
    state = running(PROMPT, JobInterrupted(signal="SIGINT"), JobResumed(owner=OWNER, provider="r"))
    assert state.steps["a"].lane == "r/m"
    assert state.provider_of("a") == "r"


def test_only_after_a_failure_by_a_reply_is_the_model_asked_anew() -> None:
    def after(**fields: Any) -> bool:
        return running(PROMPT, started("a"), failed("a", retry_at=1.0, **fields)).steps["a"].fresh

    assert after(on_content=True)
    assert not after()

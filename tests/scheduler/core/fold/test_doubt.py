"""Interrupted attempts: which steps ask, fail or run again. Given, when, then."""

from __future__ import annotations

from typing import Any

import pytest

from orc.ledger.definition import BudgetDef, JobDef, RetryDef
from orc.ledger.events import (
    AnyEvent,
    ApprovalDecided,
    ApprovalRequested,
    JobCancelled,
    JobCancelling,
    Reserved,
    TokenUsage,
)
from orc.scheduler.core.commands import (
    AskAboutDoubt,
    CancelJob,
    DecideApproval,
    Failed,
    FinishAttempt,
    ResumeJob,
    StartAttempt,
)
from orc.scheduler.core.fold.evolve import evolve
from orc.scheduler.core.fold.state import JobState
from orc.scheduler.core.rules.decide import decide
from tests.builders import (
    EPOCH_S,
    OWNER,
    amended,
    call_failed,
    due_steps,
    failed,
    fold,
    interrupted,
    job,
    ready_steps,
    record,
    requested,
    responded,
    resumed,
    running,
    skipped,
    started,
    step,
    tool_called,
    tool_returned,
)

YES_OR_NO = ("approve", "reject")


def work(on_unknown: str = "ask", **fields: Any) -> JobDef:
    return job(step("a", kind="run", run="pay", on_unknown=on_unknown, **fields))


def prompt(on_unknown: str = "ask", **fields: Any) -> JobDef:
    return job(step("a", prompt="?", on_unknown=on_unknown), **fields)


def asked(message: str = "interrupted while it ran", attempt: int = 1) -> ApprovalRequested:
    unknown = f"{message}; it may or may not have completed. Run it again?"
    return ApprovalRequested(step="a", attempt=attempt, message=unknown, options=YES_OR_NO)


def answered(option: str) -> ApprovalDecided:
    return ApprovalDecided(step="a", attempt=1, option=option, by="me")


def given(definition: JobDef, *events: AnyEvent) -> JobState:
    return running(definition, started("a"), *events)


def then(state: JobState, *events: AnyEvent) -> JobState:
    for recorded in record(events, after=state.version):
        evolve(state, recorded)
    return state


def may_start(state: JobState) -> list[str]:
    return ready_steps(state)


CUTS: dict[str, list[AnyEvent]] = {
    "crash": [resumed(), interrupted("a", reason="crash")],
    "signal": [interrupted("a"), resumed()],
    "cancel": [interrupted("a", reason="cancel"), JobCancelled(), resumed()],
    "crash, cancel": [interrupted("a", reason="crash"), JobCancelled(), resumed()],
}


@pytest.mark.parametrize("how", CUTS)
def test_interrupted_work_does_not_start_before_a_person_is_asked(how: str) -> None:
    state = given(work(), *CUTS[how])
    assert may_start(state) == []
    assert due_steps(state) == ["a"]
    assert decide(state, AskAboutDoubt("a")) == [asked()]


@pytest.mark.parametrize("how", CUTS)
def test_interrupted_work_that_may_be_repeated_starts_again(how: str) -> None:
    state = given(work("retry"), *CUTS[how])
    assert may_start(state) == ["a"]
    assert due_steps(state) == []


def test_a_resume_ends_what_was_running_and_asks_nothing_yet() -> None:
    events = decide(given(work()), ResumeJob(OWNER))
    assert events == [resumed(), interrupted("a", reason="crash")]


def test_a_cancel_of_a_dead_job_keeps_the_question() -> None:
    state = given(work())
    then(state, *decide(state, CancelJob(signal_id=1)))
    then(state, *decide(state, ResumeJob(OWNER)))
    assert decide(state, AskAboutDoubt("a")) == [asked()]


def test_an_approved_step_starts_and_is_no_longer_in_doubt() -> None:
    state = then(given(work(), *CUTS["crash"], asked()), answered("approve"))
    assert may_start(state) == ["a"]
    then(state, *decide(state, StartAttempt("a", EPOCH_S)))
    assert state.steps["a"].in_doubt is None


def test_a_rejected_step_in_doubt_fails_and_a_later_resume_asks_again() -> None:
    state = given(work(), *CUTS["crash"], asked())
    events = decide(state, DecideApproval("a", "reject", by="me"))
    assert [event.type for event in events] == ["approval.decided", "step.failed"]
    then(state, *events)
    state.status = "failed"
    then(state, resumed())
    assert may_start(state) == []
    assert due_steps(state) == ["a"]


def test_a_stream_cut_between_a_rejection_and_its_failure_asks_again() -> None:
    state = given(work(), *CUTS["crash"], asked(), answered("reject"), resumed())
    assert may_start(state) == []


def test_only_the_failure_for_a_doubt_ends_the_doubt() -> None:
    told = given(work("fail"), *CUTS["crash"], failed("a", kind="connection"))
    late = given(work("fail"), *CUTS["crash"], failed("a", kind="timeout"))
    assert told.steps["a"].in_doubt is None
    assert late.steps["a"].in_doubt == "work"


def test_a_step_that_is_skipped_in_doubt_stays_in_doubt() -> None:
    over = skipped("a", reason="job_timeout")
    state = given(work(), *CUTS["crash"], over, resumed())
    assert may_start(state) == []


@pytest.mark.parametrize(("on_unknown", "starts"), [("ask", []), ("retry", ["a"])])
def test_an_amendment_keeps_the_doubt_and_its_on_unknown_applies(
    on_unknown: str, starts: list[str]
) -> None:
    state = given(work(), interrupted("a", reason="crash"), amended(work(on_unknown), "a"))
    then(state, resumed())
    assert may_start(state) == starts


@pytest.mark.parametrize(
    ("under_way", "message"),
    [
        ([requested("a")], "interrupted during a call to the model"),
        ([requested("a"), responded("a"), tool_called("a")], "interrupted during a tool call"),
    ],
)
def test_a_prompt_asks_if_a_call_or_a_tool_was_in_flight(
    under_way: list[AnyEvent], message: str
) -> None:
    state = given(prompt(), *under_way, *CUTS["crash"])
    assert decide(state, AskAboutDoubt("a")) == [asked(message)]


@pytest.mark.parametrize(
    "ended",
    [
        [],
        [requested("a"), responded("a")],
        [requested("a"), call_failed("a")],
        [requested("a"), responded("a"), tool_called("a"), tool_returned("a")],
    ],
    ids=["nothing", "answered", "failed", "returned"],
)
def test_a_prompt_with_nothing_in_flight_starts_again(ended: list[AnyEvent]) -> None:
    assert may_start(given(prompt(), *ended, *CUTS["crash"])) == ["a"]


@pytest.mark.parametrize(
    ("events", "count"),
    [
        ([requested("a"), interrupted("a")], 1),
        ([requested("a"), failed("a")], 1),
        ([requested("a"), call_failed("a", kind="connection")], 1),
        ([requested("a"), call_failed("a", kind="protocol")], 1),
        ([requested("a"), call_failed("a", kind="connection", unsent=True)], 0),
        ([requested("a"), call_failed("a", kind="protocol", usage=TokenUsage())], 0),
        ([requested("a"), call_failed("a", kind="rate_limit")], 0),
        ([requested("a"), responded("a"), interrupted("a")], 0),
        ([interrupted("a")], 0),
    ],
)
def test_a_call_that_may_have_been_processed_counts_as_in_doubt(
    events: list[AnyEvent], count: int
) -> None:
    assert given(prompt(), *events).steps["a"].calls_in_doubt == count


def test_a_call_in_doubt_stays_counted_after_the_next_attempt_and_an_amendment() -> None:
    definition = prompt("retry")
    state = given(definition, requested("a"), *CUTS["crash"], started("a", 2), requested("a", 2))
    then(state, responded("a", 2), interrupted("a", 2), amended(definition, "a"))
    assert state.steps["a"].calls_in_doubt == 1


def test_a_step_that_times_out_during_a_call_keeps_no_reserve() -> None:
    state = given(
        prompt(budget=BudgetDef(max_tokens=1000)),
        requested("a", reserved=Reserved(tokens=70)),
        failed("a"),
    )
    assert (state.spent[""].held_tokens, state.spent[""].tokens) == (0, 70)


@pytest.mark.parametrize(
    ("on_unknown", "retry_on", "kind", "again"),
    [
        ("ask", (), "timeout", False),
        ("ask", (), "signal", False),
        ("fail", (), "timeout", False),
        ("ask", (), "exit_code", True),
        ("ask", ("timeout",), "timeout", True),
        ("retry", (), "timeout", True),
    ],
)
def test_work_that_was_ended_midway_is_retried_only_if_retry_on_has_its_kind(
    on_unknown: str, retry_on: tuple[str, ...], kind: Any, again: bool
) -> None:
    state = given(work(on_unknown, retry=RetryDef(max_attempts=2), retry_on=retry_on))
    outcome = Failed(kind=kind, message="no", duration_s=1.0)
    (event,) = decide(state, FinishAttempt("a", 1, outcome, now=EPOCH_S))
    assert (event.retry_at is not None) == again  # type: ignore[union-attr]


def test_no_question_is_asked_about_a_step_that_is_not_in_doubt() -> None:
    with pytest.raises(AssertionError):
        decide(fold(work(), resumed()), AskAboutDoubt("a"))


@pytest.mark.parametrize("on_unknown", ["ask", "fail", "retry"])
def test_a_cancelled_job_does_not_wait_for_a_person_to_settle_a_doubt(on_unknown: str) -> None:
    step_a = step("a", prompt="?", condition="always()", runs_after="any", on_unknown=on_unknown)
    state = running(job(step_a), started("a"), requested("a"), interrupted("a", reason="cancel"))

    (event,) = decide(state, CancelJob(1))

    assert isinstance(event, JobCancelled if on_unknown == "ask" else JobCancelling)

"""What a failure, or a skip, does to the steps downstream is the same in every order of ends."""

from __future__ import annotations

from itertools import permutations

import pytest

from orc.ledger.definition import JobDef
from orc.ledger.events import AnyEvent, JobFailed, Payload, StepSkipped
from orc.scheduler.core.commands import (
    Failed,
    FinishAttempt,
    ResumeJob,
    Settle,
    SkipStep,
    StartAttempt,
    Succeeded,
)
from orc.scheduler.core.fold.evolve import JobState, evolve
from orc.scheduler.core.rules.decide import decide
from tests.builders import EPOCH_S, OWNER, due_steps, job, record, running, step
from tests.each_case import each_case

# `off` has a false condition, `bad` fails, `weak` fails and is tolerated, `good` succeeds.
NEEDS = ("off", "bad", "weak", "good")
FLOW = job(
    step("off", condition="1 == 2"),
    step("bad"),
    step("weak", continue_on_error=True),
    step("good"),
    step("all", needs=NEEDS),
    step("both", needs=("off", "good")),
    step("next", needs=("both", "weak")),
    step("mend", needs=("next", "all"), condition="failure()", runs_after="any"),
    step("late", needs=("both",), condition="failure()", runs_after="any"),
)
FLOW_NEEDS = {found.id: found.needs for found in FLOW.steps}


def take(state: JobState, *events: AnyEvent) -> list[AnyEvent]:
    for event in events:
        evolve(state, record([event], after=state.version)[0])
    return list(events)


def end(state: JobState, step_id: str) -> list[AnyEvent]:
    """End the step as its name says; returns the events."""
    if step_id == "off":
        return take(state, *decide(state, SkipStep(step_id)))
    take(state, *decide(state, StartAttempt(step_id, EPOCH_S)))
    outcome: Succeeded | Failed = Succeeded(Payload(value=1), 1.0)
    if step_id in ("bad", "weak") or step_id.startswith("f"):
        outcome = Failed("exit_code", f"{step_id} broke", 1.0, final=True)
    return take(state, *decide(state, FinishAttempt(step_id, 1, outcome, now=EPOCH_S)))


def skips(events: list[AnyEvent]) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {e.step: (e.reason, e.because) for e in events if isinstance(e, StepSkipped)}


@each_case("order", list(permutations(NEEDS)))
def test_steps_are_skipped_alike_in_every_order_of_their_needs_ends(order: tuple[str, ...]) -> None:
    state = running(FLOW)
    events: list[AnyEvent] = []
    for name in order:
        events += end(state, name)
        for skipped in skips(events).keys() - {"off"}:
            needs = FLOW_NEEDS[skipped]
            assert all(state.steps[need].status != "pending" for need in needs), skipped
    assert skips(events) == {
        "off": ("condition", ()),
        "all": ("dependency_failed", ("bad",)),
        "both": ("dependency_skipped", ("off",)),
        "next": ("dependency_skipped", ("both",)),
    }
    assert set(due_steps(state)) >= {"mend", "late"}
    assert state.steps["mend"].upstream_failed
    assert not state.steps["late"].upstream_failed


@pytest.mark.parametrize("order", [("off", "bad"), ("bad", "off")], ids="-".join)
def test_a_step_behind_two_needs_sees_a_failure_in_either_order(order: tuple[str, ...]) -> None:
    definition = job(
        step("off", condition="1 == 2"),
        step("bad"),
        step("middle", needs=("off", "bad")),
        step("mend", needs=("middle",), condition="failure()", runs_after="any"),
    )
    state = running(definition)
    assert skips(end(state, order[0])).keys() <= {"off"}
    assert "mend" not in due_steps(state)
    assert "middle" in skips(end(state, order[1]))
    assert "mend" in due_steps(state)
    assert state.steps["mend"].upstream_failed


GATE = job(step("off", condition="1 == 2"), step("good"), step("after", needs=("off", "good")))


def test_the_success_of_a_last_need_skips_a_step_that_another_need_keeps_from_starting() -> None:
    state = running(GATE)
    end(state, "off")
    assert state.steps["after"].status == "pending"
    assert skips(end(state, "good")) == {"after": ("dependency_skipped", ("off",))}


def test_a_skip_that_a_crash_lost_is_made_up_by_the_resume() -> None:
    state = running(GATE)
    end(state, "off")
    take(state, *decide(state, StartAttempt("good", EPOCH_S)))
    done = FinishAttempt("good", 1, Succeeded(Payload(value=1), 1.0), now=EPOCH_S)
    take(state, *decide(state, done)[:1])
    take(state, *decide(state, ResumeJob(OWNER)))
    assert due_steps(state) == ["after"]
    assert skips(decide(state, SkipStep("after"))) == {"after": ("dependency_skipped", ("off",))}


def test_a_resume_does_not_start_a_step_of_which_one_need_stays_skipped() -> None:
    state = running(GATE)
    end(state, "off")
    take(state, *decide(state, ResumeJob(OWNER)))
    assert due_steps(state) == []
    assert skips(end(state, "good")) == {"after": ("dependency_skipped", ("off",))}


@pytest.mark.parametrize("order", list(permutations(("f1", "f2", "f3"))), ids="-".join)
def test_a_failed_job_names_its_failures_in_the_order_of_its_steps(order: tuple[str, ...]) -> None:
    definition: JobDef = job(step("f1"), step("f2"), step("f3"))
    state = running(definition)
    for name in order:
        end(state, name)
    (ended,) = decide(state, Settle())
    assert isinstance(ended, JobFailed)
    assert [failure.step for failure in ended.failures] == ["f1", "f2", "f3"]

"""Reused results, amended jobs, and runs of some steps only: given, when, then."""

from __future__ import annotations

import pytest

from orc.ledger.definition import JobDef, RetryDef
from orc.ledger.events import (
    AnyEvent,
    JobAmended,
    JobCancelled,
    JobInterrupted,
    JobResumed,
    JobStarted,
    JobSucceeded,
    StepInterrupted,
    StepStarted,
)
from orc.ledger.step_names import lineage
from orc.scheduler.core.commands import (
    AmendJob,
    FinishAttempt,
    ResumeJob,
    ReuseStep,
    Settle,
    StartAttempt,
    StartJob,
    Succeeded,
)
from orc.scheduler.core.fold.compare import find_changes, rebase
from orc.scheduler.core.fold.evolve import evolve
from orc.scheduler.core.fold.state import JobState
from orc.scheduler.core.rules.decide import decide
from orc.scheduler.core.rules.files import can_own
from tests.builders import (
    EPOCH_S,
    OWNER,
    amended,
    failed,
    file,
    fold,
    interrupted,
    job,
    ready_steps,
    record,
    responded,
    resumed,
    reused,
    running,
    skipped,
    started,
    step,
    succeeded,
    written,
)

CHAIN = job(step("a"), step("b", needs="a"), step("c", needs="b"), step("d"))
DONE: list[AnyEvent] = [
    started("a"),
    written("a", "demo/a.txt", b"old"),
    succeeded("a", output=1),
    started("b"),
    written("b", "demo/b.txt"),
    succeeded("b", output=2),
    started("c"),
    succeeded("c"),
    started("d"),
    succeeded("d"),
    JobSucceeded(),
]


def statuses(state: JobState) -> dict[str, str]:
    return {name: found.status for name, found in state.steps.items()}


def startable(state: JobState) -> list[str]:
    return ready_steps(state)


def test_a_reused_step_has_its_result_and_its_dependents_may_start() -> None:
    state = running(CHAIN, reused("a", file("demo/a.txt"), output={"x": 1}))
    assert statuses(state)["a"] == "succeeded"
    assert state.steps["a"].output is not None
    assert state.steps["a"].output.value == {"x": 1}
    assert state.steps["a"].attempts == 0
    assert [(found.file.path, found.step) for found in state.owned] == [("demo/a.txt", "a")]
    assert startable(state) == ["d", "b"]


def test_a_job_whose_steps_are_all_reused_succeeds_at_its_start() -> None:
    events = [reused(name) for name in "cbad"]
    state = fold(CHAIN, *events, JobStarted(owner=OWNER))
    assert startable(state) == []
    assert decide(state, Settle()) == [JobSucceeded()]


def test_a_step_that_has_started_is_not_reused() -> None:
    with pytest.raises(AssertionError):
        decide(running(CHAIN, started("a")), ReuseStep(reused("a")))


def test_a_result_whose_files_belong_to_another_step_is_not_reused() -> None:
    state = running(CHAIN, started("d"), written("d", "demo/a.txt"), succeeded("d"))
    assert not can_own(state, "a", (file("demo/a.txt"),))
    assert not can_own(state, "a", (file("demo/a.txt/x"),))
    assert can_own(state, "d", (file("demo/a.txt"),))


def test_an_amendment_runs_the_steps_that_it_names_again_and_keeps_the_others() -> None:
    state = running(CHAIN, *DONE, amended(CHAIN, "b", "c"))
    assert state.status == "stopped"
    assert statuses(state) == {
        "a": "succeeded",
        "b": "pending",
        "c": "pending",
        "d": "succeeded",
    }
    assert (state.steps["b"].output, state.owned.of_step("b")) == (None, {})
    assert [found.file.path for found in state.owned] == ["demo/a.txt"]
    evolve(state, record([resumed()], after=state.version)[0])
    assert startable(state) == ["b"]
    assert state.unfinished == 2


def test_attempts_and_calls_of_a_step_that_runs_again_continue_their_numbers() -> None:
    asking = job(step("a", prompt="?"))
    state = running(
        asking,
        started("a"),
        responded("a"),
        failed("a", retry_at=1.0),
        started("a", 2),
        succeeded("a", 2),
        amended(asking, "a"),
        resumed(),
    )
    step_a = state.steps["a"]
    assert (step_a.attempts, step_a.calls_ended) == (2, 1)
    # Its recorded replies are no longer used.
    assert (step_a.replies, step_a.calls_recorded, step_a.failures) == ([], 0, 0)
    (event,) = decide(state, StartAttempt("a", EPOCH_S))
    assert isinstance(event, StepStarted)
    assert event.attempt == 3


def test_only_the_steps_that_were_named_to_run_again_ignore_caches() -> None:
    state = running(CHAIN, *DONE, amended(CHAIN, "a", "b", "c", fresh=("a",)))
    assert {name for name, found in state.steps.items() if found.fresh} == {"a"}


def test_an_amendment_adds_and_removes_steps_with_the_definition() -> None:
    other = job(step("n"), step("a"), step("b", needs=("a", "n")))
    state = running(CHAIN, *DONE, amended(other, "b", removed=("c", "d")), resumed())
    assert statuses(state) == {"n": "pending", "a": "succeeded", "b": "pending"}
    assert [found.index for found in state.steps.values()] == [0, 1, 2]
    assert startable(state) == ["n"]
    for event in (started("n"), succeeded("n")):
        evolve(state, record([event], after=state.version)[0])
    assert startable(state) == ["b"]


def test_the_path_of_a_removed_steps_file_is_free() -> None:
    other = job(step("a"), step("e"))
    state = running(CHAIN, *DONE, amended(other, removed=("b", "c", "d")), resumed(), started("e"))
    outcome = Succeeded(reused("e").output, 1.0, files=(file("demo/B.TXT"),))
    events = decide(state, FinishAttempt("e", 1, outcome, now=EPOCH_S))
    assert [event.type for event in events] == ["file.written", "step.succeeded"]


def test_a_step_that_is_added_again_continues_its_numbers_and_has_no_result() -> None:
    without = job(step("a"), step("d"))
    events = [*DONE, amended(without, removed=("b", "c")), amended(CHAIN), resumed()]
    state = running(CHAIN, *events)
    assert (state.steps["b"].status, state.steps["b"].attempts) == ("pending", 1)
    assert state.steps["b"].output is None
    assert startable(state) == ["b"]


def test_an_amendment_reopens_failed_steps_as_a_resume_does() -> None:
    state = running(CHAIN, started("a"), failed("a"), skipped("b", "a"), skipped("c", "b", "b"))
    evolve(state, record([amended(CHAIN)], after=state.version)[0])
    assert set(statuses(state).values()) == {"pending"}
    assert state.unfinished == 4


def test_an_amendment_ends_the_attempts_that_a_crash_cut_off() -> None:
    state = running(CHAIN, started("a"))
    events = decide(state, AmendJob(amended(CHAIN)))
    cut, amendment = events
    assert cut == StepInterrupted(step="a", attempt=1, reason="crash")
    assert isinstance(amendment, JobAmended)
    for event in events:
        evolve(state, record([event], after=state.version)[0])
    assert (state.status, state.running_total) == ("stopped", 0)


def test_an_amendment_of_a_job_that_never_started_leaves_it_to_be_started() -> None:
    state = fold(CHAIN, amended(job(step("a"), step("z")), removed=("b", "c", "d")))
    assert state.status == "submitted"
    (event,) = decide(state, StartJob(OWNER))
    evolve(state, record([event], after=state.version)[0])
    assert startable(state) == ["a", "z"]


def test_an_amendment_of_a_cancelled_job_answers_the_signal_to_cancel_it() -> None:
    state = running(CHAIN, JobCancelled(signal_id=3), amended(CHAIN, signal_id=4))
    assert (state.status, state.signal_seen) == ("stopped", 4)


def test_the_time_limit_is_the_new_one_only_where_it_changed() -> None:
    limited = job(*CHAIN.steps, timeout_s=60.0)
    longer: list[AnyEvent] = [JobInterrupted(signal="SIGINT"), resumed(timeout_s=90.0)]
    assert running(limited, *longer, amended(limited)).timeout_s == 90.0
    assert running(limited, *longer, amended(CHAIN)).timeout_s is None


def test_a_run_of_some_steps_starts_them_and_what_they_need() -> None:
    state = fold(CHAIN, *decide(fold(CHAIN), StartJob(OWNER, only=("b",))))
    assert startable(state) == ["a"]
    for event in (started("a"), succeeded("a")):
        evolve(state, record([event], after=state.version)[0])
    assert startable(state) == ["b"]
    assert decide(state, Settle()) == []
    for event in (started("b"), succeeded("b")):
        evolve(state, record([event], after=state.version)[0])
    assert startable(state) == []
    (stop,) = decide(state, Settle())
    assert stop == JobInterrupted()
    evolve(state, record([stop], after=state.version)[0])
    assert statuses(state)["c"] == statuses(state)["d"] == "pending"


def test_the_next_resume_runs_the_rest() -> None:
    state = fold(CHAIN, JobStarted(owner=OWNER, only=("a",)), started("a"), succeeded("a"))
    for event in (JobInterrupted(), *decide(stopped(state), ResumeJob(OWNER))):
        evolve(state, record([event], after=state.version)[0])
    assert startable(state) == ["b", "d"]


def stopped(state: JobState) -> JobState:
    evolve(state, record([JobInterrupted()], after=state.version)[0])
    return state


def test_a_resume_can_be_limited_to_some_steps() -> None:
    state = running(CHAIN, started("a"), interrupted("a"), JobInterrupted(signal="SIGINT"))
    (event,) = decide(state, ResumeJob(OWNER, only=("d",)))
    assert isinstance(event, JobResumed)
    evolve(state, record([event], after=state.version)[0])
    assert startable(state) == ["d"]


def test_a_failure_in_a_run_of_some_steps_stops_the_run_and_not_the_job() -> None:
    state = fold(CHAIN, JobStarted(owner=OWNER, only=("b",)), started("a"))
    for event in (failed("a"), skipped("b", "a"), skipped("c", "b")):
        evolve(state, record([event], after=state.version)[0])
    assert decide(state, Settle()) == [JobInterrupted()]
    assert list(state.failed) == ["a"]


def test_a_run_limited_to_all_steps_ends_the_job() -> None:
    whole = job(step("a"))
    state = fold(whole, JobStarted(owner=OWNER, only=("a",)), started("a"), succeeded("a"))
    assert decide(state, Settle()) == [JobSucceeded()]


def test_an_item_belongs_to_its_step() -> None:
    assert list(lineage("x#2/y[k]")) == ["x#2/y[k]", "x#2/y", "x#2", "x"]


@pytest.mark.parametrize(
    ("after", "changes"),
    [
        (job(step("a"), step("b", needs="a", value=1)), {"b": ("value",)}),
        (job(step("a", retry=RetryDef(max_attempts=9), timeout_s=1.0), step("b", needs="a")), {}),
        (job(step("a"), step("b"), step("new")), {"b": ("needs",)}),
        (job(step("a")), {}),
    ],
)
def test_a_step_has_changed_when_its_definition_has_except_retries_and_timeouts(
    after: JobDef, changes: dict[str, tuple[str, ...]]
) -> None:
    assert find_changes(job(step("a"), step("b", needs="a")), after) == changes


def test_a_step_has_changed_when_a_value_that_it_refers_to_has() -> None:
    steps = (
        step("one", value="${{ inputs.x }}"),
        step("whole", value="${{ inputs }}"),
        step("other", value="${{ inputs.y }}"),
        step("about", value=["${{ task_description }}"]),
        step("command", kind="run", run="true"),
    )
    before = job(*steps, inputs={"x": 1, "y": 1}, task_description="a")
    after = job(*steps, inputs={"x": 2, "y": 1}, task_description="b", env={"A": "b"})
    assert find_changes(before, after) == {
        "one": ("inputs.x",),
        "whole": ("inputs",),
        "about": ("task_description",),
        "command": ("the job's env",),
    }


def test_a_change_inside_an_input_is_named_by_the_input() -> None:
    steps = (step("a", value="${{ inputs.server.port }}"), step("b", value="${{ inputs.x }}"))
    before, after = (job(*steps, inputs={"server": {"port": port}, "x": 1}) for port in (1, 2))
    assert find_changes(before, after) == {"a": ("inputs.server",)}


def test_only_fields_that_an_edit_changes_replace_recorded_ones() -> None:
    recorded = job(step("a", prompt="?", timeout_s=1.0), step("b", prompt="?"), timeout_s=9.0)
    base = job(step("a", prompt="?", timeout_s=5.0), step("b", prompt="?"), timeout_s=5.0)
    edited = job(step("a", prompt="!", timeout_s=5.0), step("c"), timeout_s=5.0)
    merged = rebase(recorded, base, edited)
    assert merged.timeout_s == 9.0
    assert [found.id for found in merged.steps] == ["a", "c"]
    assert merged.steps[0] == step("a", prompt="!", timeout_s=1.0)

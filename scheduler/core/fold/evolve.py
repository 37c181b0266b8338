"""The fold: `evolve` applies one event to the state of a job.

It changes the given state in place, so that most events take constant time. It is pure in that
it uses no I/O, clock or random numbers. The rules that create events are left to `core/rules`.
"""

from __future__ import annotations

from typing import assert_never

from orc.ledger.definition import JobDef
from orc.ledger.events import (
    Failure,
    JobCancelled,
    Recorded,
    StepFailed,
    StepStarted,
)
from orc.ledger.kinds import JOB_AT_REST, OPEN
from orc.scheduler.core.fold.amend import job_amended, step_reused
from orc.scheduler.core.fold.batches import fold_batch
from orc.scheduler.core.fold.budgets import budget_exceeded, budget_raised
from orc.scheduler.core.fold.calls import cut_call, fold_call, forget_calls, keep_result
from orc.scheduler.core.fold.cancelling import cancelling, signals_answered
from orc.scheduler.core.fold.containers import child_ended, expanded
from orc.scheduler.core.fold.doubt import find_doubt, settles_doubt
from orc.scheduler.core.fold.graph import Graph
from orc.scheduler.core.fold.limits import (
    assign_probe,
    circuit_closed,
    circuit_opened,
    set_route,
)
from orc.scheduler.core.fold.placing import queue, step_placed, step_unplaced
from orc.scheduler.core.fold.questions import REJECT, asked, close_question, decided
from orc.scheduler.core.fold.queued_job import fold_queue
from orc.scheduler.core.fold.reopen import job_resumed, limit_to, seconds_between, seconds_of
from orc.scheduler.core.fold.scores import has_result, score_recorded, tagged
from orc.scheduler.core.fold.state import (
    JobState,
    JobStatus,
    StepState,
    StepStatus,
)
from orc.scheduler.core.fold.work import (
    add_deadline,
    became_ready,
    clear_work,
    configured,
    enter_running,
    leave_running,
    let_start,
    wait_for_retry,
)
from orc.scheduler.core.reply_warnings import is_doubtful

__all__ = ["JobState", "StepState", "evolve", "initial_state"]


def initial_state(definition: JobDef, graph: Graph) -> JobState:
    """The state of a job before its first event."""
    steps = {
        step_id: StepState(index=index, needs_left=len(graph.needs[step_id]))
        for index, step_id in enumerate(graph.steps)
    }
    state = JobState(
        definition=definition,
        graph=graph,
        steps=steps,
        project=definition.project,
        timeout_s=definition.timeout_s,
        unfinished=len(steps),
    )
    for step_id, step in graph.steps.items():
        # Of a step that calls no model, the route is empty as it is.
        if step.provider is not None:
            set_route(state, step_id)
    return state


def evolve(state: JobState, recorded: Recorded) -> JobState:
    """Apply the event to the state, and return the same object. Accepts every recorded event."""
    before_at, state.last_at = state.last_at, recorded.recorded_at
    state.version = recorded.version
    event = recorded.event
    # By the name, which is compared faster than the class of a model; the most frequent ones first.
    match event.type:
        case "step.started":
            _step_started(state, event)
        case "step.succeeded":
            step = _leave(state, event.step)
            step.output = event.output
            if event.warning is not None or step.is_doubtful:
                step.is_doubtful = event.warning is not None and is_doubtful(event.warning)
            state.owned.apply(recorded)
            for folder in event.folders or ():
                state.file_names.add_folder(folder)
            if step.replies or step.results:
                forget_calls(step)
            _end(state, event.step, step, "succeeded")
            _update_dependents(state, event.step, step, ended_well=True)
        case "llm.requested" | "llm.responded" | "llm.failed" | "cache.hit":
            fold_call(state, event, recorded.version)
        case "step.placed":
            step_placed(state, event, seconds_of(recorded.recorded_at))
        case "step.unplaced":
            step_unplaced(state, event, seconds_of(recorded.recorded_at))
        case "step.reattached":
            # The attempt is where `step.placed` says.
            pass
        case "step.failed":
            _step_failed(state, event)
        case "step.skipped":
            step = state.steps[event.step]
            step.skipped = event.reason
            _end(state, event.step, step, "skipped")
            _update_dependents(state, event.step, step, ended_well=False)
        case "step.configured":
            state.graph.configure(event.step, event.settings)
            set_route(state, event.step)
            configured(state, event.step)
        case "step.expanded":
            expanded(state, event)
        case "approval.requested":
            asked(state, event)
        case "approval.decided":
            is_about_call = state.steps[event.step].waits_for == "in_doubt"
            decided(state, event)
            if is_about_call and event.option != REJECT:
                state.steps[event.step].in_doubt = None
                let_start(state, event.step)
        case "budget.exceeded":
            leave_running(state, event.step)
            budget_exceeded(state, event)
        case "budget.raised":
            budget_raised(state, event)
        case "step.interrupted":
            in_doubt = find_doubt(state, event.step)
            cut_call(state, event.step)
            step = leave_running(state, event.step)
            step.status = "pending"
            step.losses += event.reason in ("worker", "batch")
            add_deadline(state, event.step)
            step.in_doubt = in_doubt
            let_start(state, event.step)
        case "step.reused":
            state.owned.apply(recorded)
            step = step_reused(state, event)
            _end(state, event.step, step, "succeeded")
            _update_dependents(state, event.step, step, ended_well=True)
        case "step.switched":
            step = state.steps[event.step]
            step.fallback = event.fallback
            set_route(state, event.step)
            step.failures = 0
            forget_calls(step)
        case "tool.called":
            state.steps[event.step].in_flight = "tool"
        case "tool.returned":
            state.steps[event.step].in_flight = None
            keep_result(state.steps[event.step], event)
        case "batch.submitted" | "batch.accepted" | "batch.progressed" | "batch.ended":
            fold_batch(state, event, seconds_of(recorded.recorded_at))
        case "circuit.opened":
            circuit_opened(state, event)
        case "circuit.closed":
            circuit_closed(state, event)
        case "file.written":
            state.owned.apply(recorded)
            state.file_names.add(event.path)
        case "job.submitted":
            state.submitted = event
            state.replies = event.replies
            state.tags = dict.fromkeys(state.definition.tags)
            for name in state.steps.keys() & (event.kept_items or ()):
                state.steps[name].keeps_items = True
            _enqueue_roots(state)
        case "job.started":
            state.status = "running"
            state.epoch = recorded.version
            state.owned_since = recorded.recorded_at
            limit_to(state, event.only)
        case "job.amended":
            state.owned.apply(recorded)
            job_amended(state, event, recorded.recorded_at, before_at)
        case "job.resumed":
            state.epoch = recorded.version
            job_resumed(state, event, recorded.recorded_at, before_at)
        case "job.interrupted":
            state.stopped_by = event.signal
            _stop(state, "stopped")
        case "job.waiting":
            _stop(state, "waiting")
        case "job.succeeded":
            _stop(state, "succeeded")
        case "job.failed":
            of_job = (failure for failure in event.failures if failure.step is None)
            state.job_failure = next(of_job, None)
            _stop(state, "failed")
        case "job.cancelling":
            cancelling(state, event)
        case "job.cancelled":
            _job_cancelled(state, event)
        case "score.recorded":
            score_recorded(state, event)
            _beside_the_run(state, before_at)
        case "job.tagged":
            tagged(state, event)
            _beside_the_run(state, before_at)
        case "hook.started":
            state.hook = event
        case "hook.ended":
            state.hook = None
            _beside_the_run(state, before_at)
        case "job.noted":
            state.signal_seen = max(state.signal_seen, event.signal_id or 0)
            _beside_the_run(state, before_at)
        case "blob.removed":
            state.removed.update(event.digests)
            # The job was not running, so this time must not count as its owner's.
            state.last_at = before_at
        case _:
            assert_never(event)
    if state.is_queued or event.type == "job.submitted":
        fold_queue(state, event)
    return state


def _beside_the_run(state: JobState, before_at: str) -> None:
    """If no process runs the job, the time of the event must not count as its owner's."""
    if state.status in JOB_AT_REST:
        state.last_at = before_at


def _step_started(state: JobState, event: StepStarted) -> None:
    step_id = event.step
    step, definition = state.steps[step_id], state.graph.steps[step_id]
    step.ticket = 0
    step.status = "running"
    step.attempts = event.attempt
    # Most of what it was is the same: to look takes a fourth of the time that it takes to set it.
    if step.waits_for is not None:
        step.waits_for = None
    if step.in_flight is not None or step.in_doubt is not None:
        step.in_flight = step.in_doubt = None
    if step.retry_at is not None or step.delay_s is not None:
        step.retry_at = step.delay_s = None
    if not definition.takes_slot:
        step.began_at = seconds_of(state.last_at)
        return
    if event.deadline_at is not None:
        step.deadline_at = event.deadline_at
    enter_running(state, step_id)
    if definition.is_remote:
        queue(state, step_id, seconds_of(state.last_at))
    if state.circuits:
        assign_probe(state, step_id)


def _step_failed(state: JobState, event: StepFailed) -> None:
    cut_call(state, event.step)
    step = _leave(state, event.step)
    if settles_doubt(state, event):
        step.in_doubt = None
    step.failures += 1
    step.failure = Failure(step=event.step, kind=event.kind, message=event.message)
    if event.on_content:
        forget_calls(step)
        step.fresh = True
    if event.retry_at is not None and event.delay_s is not None:
        if step.needs_left:
            # A resume reopened a need while the attempt ran elsewhere; the step waits for it.
            step.status = "pending"
            return
        wait_for_retry(state, event.step, event.retry_at, event.delay_s)
        return
    step.tolerated = bool(event.tolerated)
    _end(state, event.step, step, "failed")
    if step.parent is None and not step.tolerated:
        state.failed[event.step] = step.failure
    _update_dependents(state, event.step, step, ended_well=step.tolerated)


def _leave(state: JobState, step_id: str) -> StepState:
    step = state.steps[step_id]
    if step.status == "running" and state.graph.steps[step_id].takes_slot:
        leave_running(state, step_id)
    else:
        step.ticket = 0
    return step


def _end(state: JobState, step_id: str, step: StepState, status: StepStatus) -> None:
    step.ticket = 0
    step.status = status
    state.unfinished -= 1
    if state.only is not None and step_id in state.only:
        state.only_left -= 1
    if step.waits_for is not None:
        step.waits_for = None
    if step.retry_at is not None or step.delay_s is not None:
        step.retry_at = step.delay_s = None
    if step.deadline_at is not None:
        step.deadline_at = None
    if step.question is not None:
        close_question(state, step_id)
    if state.over_budget:
        state.over_budget.pop(step_id, None)
    if status == "succeeded" and state.graph.steps[step_id].is_scored:
        has_result(state, step_id)
    if step.parent is not None:
        child_ended(state, step_id)


def _update_dependents(
    state: JobState, step_id: str, ended: StepState, *, ended_well: bool
) -> None:
    dependents = state.graph.dependents[step_id]
    if not dependents:
        return
    has_failed = ended.upstream_failed or (ended.status == "failed" and not ended.tolerated)
    for name in dependents:
        step = state.steps[name]
        if has_failed:
            step.upstream_failed = True
        if ended_well or state.graph.steps[name].runs_after == "any":
            step.needs_left -= 1
            if step.needs_left == 0 and step.status == "pending":
                became_ready(state, name)
        else:
            step.needs_shut += 1


def _stop(state: JobState, status: JobStatus) -> None:
    state.status = status
    state.owned_s += seconds_between(state.owned_since, state.last_at)
    state.owned_since = None


def _job_cancelled(state: JobState, event: JobCancelled) -> None:
    _stop(state, "cancelled")
    state.is_cancelling = False
    signals_answered(state, event.signal_id)
    for step in state.steps.values():
        if step.status in OPEN:
            step.status = "cancelled"
            step.waits_for = step.question = None
            step.retry_at = step.delay_s = step.deadline_at = None
    state.unfinished = 0
    clear_work(state)


def _enqueue_roots(state: JobState) -> None:
    for step_id, step in state.steps.items():
        if step.needs_left == 0:
            became_ready(state, step_id)

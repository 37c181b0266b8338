"""The fold's side of the queues: it appends work items to the state.

A work item says that a step may start, is due for evaluation, or waits for a time. Reading them
and choosing the next step is left to `queues.py`.
"""

from __future__ import annotations

from typing import Literal

from orc.ledger.definition import LOCAL, StepDef
from orc.scheduler.core.fold.batches import BATCHES, is_batched
from orc.scheduler.core.fold.doubt import is_held_by_doubt
from orc.scheduler.core.fold.limits import release_probe
from orc.scheduler.core.fold.state import JobState, StepState, WorkItem


def became_ready(state: JobState, step_id: str) -> None:
    """Fold that the step's needs have ended: it may start, or is due for evaluation."""
    if not state.wants(step_id):
        return
    if state.graph.written(step_id).is_plain and state.keeper_of(step_id) is None:
        let_start(state, step_id)
    else:
        _add_ticketed(state, "evaluate", step_id)


def let_start(state: JobState, step_id: str) -> None:
    """Let a step start that needs no evaluation; a step in doubt is evaluated first.

    Does nothing while needs of the step are open; `became_ready` follows when they end.
    """
    step = state.steps[step_id]
    if step.needs_left or not state.wants(step_id):
        return
    if step.in_doubt is not None and is_held_by_doubt(state, step_id):
        _add_ticketed(state, "evaluate", step_id)
    else:
        _add_ticketed(state, "start", step_id)


def configured(state: JobState, step_id: str) -> None:
    """Fold that the step's settings were rendered: what they were rendered for may begin."""
    if state.graph.steps[step_id].is_plain and state.keeper_of(step_id) is None:
        let_start(state, step_id)
    elif state.wants(step_id):
        _add_ticketed(state, "evaluate", step_id)


def add_evaluation(state: JobState, step_id: str) -> None:
    """Make the step due for evaluation: to gather its children's results, or to skip it."""
    state.work_items.append(WorkItem("evaluate", step_id))


def add_deadline(state: JobState, step_id: str) -> None:
    """Add the step's deadline, at which it fails unless it is running."""
    deadline_at = state.steps[step_id].deadline_at
    if deadline_at is not None:
        state.work_items.append(WorkItem("deadline", step_id, at=deadline_at))


def add_expiry(state: JobState, step_id: str) -> None:
    """Add the time at which the step's question expires, if it does."""
    question = state.steps[step_id].question
    if question is not None and question.expires_at is not None:
        state.work_items.append(WorkItem("expiry", step_id, at=question.expires_at))


def add_queue_end(state: JobState, step_id: str) -> None:
    """Add the time at which the step's attempt fails unless a worker has taken it."""
    ends_at = state.steps[step_id].queue_ends_at
    if ends_at is not None:
        state.work_items.append(WorkItem("queued", step_id, at=ends_at))


def wait_for_retry(state: JobState, step_id: str, retry_at: float, delay_s: float) -> None:
    """Fold that the step waits for its next attempt."""
    step = state.steps[step_id]
    step.status = "waiting"
    step.waits_for = "retry"
    step.retry_at = retry_at
    step.delay_s = delay_s
    _add_ticketed(state, "retry", step_id, at=retry_at)
    add_deadline(state, step_id)


def leave_queue(state: JobState, step_id: str) -> None:
    """Invalidate the step's work item."""
    state.steps[step_id].ticket = 0


def clear_work(state: JobState) -> None:
    """Clear all work items, running counts, open questions and waits for budgets."""
    state.work_items = []
    for step in state.steps.values():
        if step.ticket:
            step.ticket = 0
    state.running.clear()
    state.running_total = state.running_elsewhere = state.running_slotless = 0
    state.busy_workspaces.clear()
    state.questions.clear()
    state.over_budget.clear()


def takes_slot(state: JobState, step_id: str) -> bool:
    """Whether the step takes a slot while it runs."""
    return state.graph.steps[step_id].takes_slot


def runs_elsewhere(state: JobState, step_id: str) -> bool:
    """Whether the step's attempts are placed on workers, and take no slot of this machine."""
    return state.graph.steps[step_id].is_remote and takes_slot(state, step_id)


def slotless_lane(state: JobState, step_id: str) -> str:
    """The executor that performs the step, or that of batches; empty if it takes a slot here."""
    return _slotless_lane(state, step_id, state.graph.steps[step_id])


def _slotless_lane(state: JobState, step_id: str, definition: StepDef) -> str:
    if definition.executor == LOCAL and not definition.batch:
        return ""
    if not definition.takes_slot:
        return ""
    if definition.is_remote:
        return definition.executor
    return BATCHES if is_batched(state, step_id) else ""


def metered_provider(state: JobState, step_id: str) -> str:
    """The provider whose rate the step's calls count against; empty if they count against none."""
    return "" if slotless_lane(state, step_id) else state.provider_of(step_id)


def enter_running(state: JobState, step_id: str) -> None:
    """Count the step as running, against the limit in `concurrency` of its provider or executor."""
    # Each of the two is looked up once: this is done for each attempt of a job that is read again.
    step, definition = state.steps[step_id], state.graph.steps[step_id]
    slotless = _slotless_lane(state, step_id, definition)
    lane = slotless or (step.lane and state.provider_in(step.lane))
    state.running[lane] = state.running.get(lane, 0) + 1
    state.running_total += 1
    if step.batched is not None:
        # Also if the job has another provider meanwhile, with which it would not be batched.
        state.running_elsewhere += 1
    elif slotless:
        state.running_elsewhere += runs_elsewhere(state, step_id)
    if slotless:
        state.running_slotless += 1
    if definition.workspace is not None:
        state.busy_workspaces.add(definition.workspace)


def leave_running(state: JobState, step_id: str) -> StepState:
    """Stop counting the step as running."""
    step, definition = state.steps[step_id], state.graph.steps[step_id]
    slotless = _slotless_lane(state, step_id, definition)
    state.running[slotless or (step.lane and state.provider_in(step.lane))] -= 1
    state.running_total -= 1
    if slotless:
        state.running_elsewhere -= runs_elsewhere(state, step_id)
        state.running_slotless -= 1
    if step.queued_at is not None or step.placement is not None or step.queued_s:
        step.placement = step.queued_at = step.queue_ends_at = None
        step.queued_s = 0.0
    if definition.workspace is not None:
        state.busy_workspaces.discard(definition.workspace)
    if state.circuits:
        release_probe(state, step_id)
    return step


def _add_ticketed(
    state: JobState, kind: Literal["start", "evaluate", "retry"], step_id: str, *, at: float = 0.0
) -> None:
    ticket = state.steps[step_id].ticket = len(state.work_items) + 1
    state.work_items.append(WorkItem(kind, step_id, ticket, at))

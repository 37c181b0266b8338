"""What the events make possible: the fold's side of the queues.

A step that may start, has to be looked at, or waits for a time becomes a work item in the
state. `queues.py` reads these items, and says which step is next.
"""

from __future__ import annotations

from typing import Literal

from orc.scheduler.core.fold.doubt import is_held_by_doubt
from orc.scheduler.core.fold.limits import release_probe
from orc.scheduler.core.fold.state import JobState, StepState, WorkItem


def became_ready(state: JobState, step_id: str) -> None:
    """All that the step waits for has ended: it may start, or has to be looked at first."""
    if not state.wants(step_id):
        return
    if state.graph.steps[step_id].is_plain:
        let_start(state, step_id)
    else:
        _add_ticketed(state, "evaluate", step_id)


def let_start(state: JobState, step_id: str) -> None:
    """The step, which nothing has to be judged of, may start; one in doubt is looked at.

    Not one whose needs are open again: it is told when they have ended.
    """
    if state.steps[step_id].needs_left or not state.wants(step_id):
        return
    if is_held_by_doubt(state, step_id):
        _add_ticketed(state, "evaluate", step_id)
    else:
        _add_ticketed(state, "start", step_id)


def add_evaluation(state: JobState, step_id: str) -> None:
    """The step has to be looked at: its results are gathered, or it is skipped."""
    state.work_items.append(WorkItem("evaluate", step_id))


def add_deadline(state: JobState, step_id: str) -> None:
    """The step fails at its deadline, should it not run then."""
    deadline_at = state.steps[step_id].deadline_at
    if deadline_at is not None:
        state.work_items.append(WorkItem("deadline", step_id, at=deadline_at))


def add_expiry(state: JobState, step_id: str) -> None:
    """The step's question is decided when the time for an answer is over."""
    question = state.steps[step_id].question
    if question is not None and question.expires_at is not None:
        state.work_items.append(WorkItem("expiry", step_id, at=question.expires_at))


def wait_for_retry(state: JobState, step_id: str, retry_at: float, delay_s: float) -> None:
    """The step waits for its next attempt."""
    step = state.steps[step_id]
    step.status = "waiting"
    step.waits_for = "retry"
    step.retry_at = retry_at
    step.delay_s = delay_s
    _add_ticketed(state, "retry", step_id, at=retry_at)
    add_deadline(state, step_id)


def leave_queue(state: JobState, step_id: str) -> None:
    """The step is not to be started; its work item holds no more."""
    state.steps[step_id].ticket = 0


def clear_work(state: JobState) -> None:
    """Nothing is possible or running, and nobody is asked, until an event says so again."""
    state.work_items = []
    for step in state.steps.values():
        step.ticket = 0
    state.running.clear()
    state.running_total = 0
    state.questions.clear()
    state.over_budget.clear()


def takes_slot(state: JobState, step_id: str) -> bool:
    """Whether the step counts against the limits while it runs: not if it holds others, or asks."""
    definition = state.graph.steps[step_id]
    return definition.shape is None and definition.facts.holds_slot


def enter_running(state: JobState, step_id: str) -> None:
    """The step takes a slot."""
    provider = state.provider_of(step_id)
    state.running[provider] = state.running.get(provider, 0) + 1
    state.running_total += 1


def leave_running(state: JobState, step_id: str) -> StepState:
    """The step gives its slot back."""
    state.running[state.provider_of(step_id)] -= 1
    state.running_total -= 1
    release_probe(state, step_id)
    return state.steps[step_id]


def _add_ticketed(
    state: JobState, kind: Literal["start", "evaluate", "retry"], step_id: str, *, at: float = 0.0
) -> None:
    ticket = state.steps[step_id].ticket = len(state.work_items) + 1
    state.work_items.append(WorkItem(kind, step_id, ticket, at))

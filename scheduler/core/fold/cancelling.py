"""Cancelling a job: at once, or after the steps whose condition has always() or cancelled()."""

from __future__ import annotations

from orc.ledger.definition import StepDef
from orc.ledger.events import JobCancelled, JobCancelling
from orc.ledger.kinds import OPEN
from orc.scheduler.core.commands import CancelJob
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.fold.doubt import asks_about_doubt
from orc.scheduler.core.fold.state import JobState
from orc.scheduler.core.fold.work import became_ready, clear_work
from orc.scheduler.core.language.templates import parse_condition

_CALLS_RUN_ON_CANCEL = {"always()", "cancelled()"}


def end_cancelled(state: JobState, command: CancelJob) -> JobCancelling | JobCancelled:
    """The event for the command. A second cancel ends the job at once.

    A step whose doubt a person must settle does not run: the job would wait, and its next owner
    would read the signal again and cut the step short again.
    """
    steps = tuple(
        step_id
        for step_id, step in state.steps.items()
        if step.status == "pending"
        and step.parent is None
        and _runs_on_cancel(state.graph.steps[step_id])
        and not asks_about_doubt(state, step_id)
    )
    if steps and not command.at_once and not state.is_cancelling:
        return JobCancelling(steps=steps, signal_id=command.signal_id, reason=command.reason)
    return JobCancelled(signal_id=command.signal_id, reason=command.reason)


def cancelled(state: JobState) -> JobCancelled:
    """The end of a cancelled job, after its always() and cancelled() steps."""
    return JobCancelled(signal_id=state.cancel_signal, reason=state.cancel_reason)


def signals_answered(state: JobState, signal_id: int | None) -> None:
    """Fold that all signals up to this one are handled."""
    state.signal_seen = max(state.signal_seen, signal_id or 0)
    state.cancel_seen = max(state.cancel_seen, signal_id or 0)


def _runs_on_cancel(definition: StepDef) -> bool:
    if definition.condition is None or definition.runs_after != "any":
        return False
    try:
        return bool(parse_condition(definition.condition).calls & _CALLS_RUN_ON_CANCEL)
    except TemplateError:
        return False


def cancelling(state: JobState, event: JobCancelling) -> None:
    """Fold the event: only its steps still run; each waits only for its needs among them."""
    left = set(event.steps)
    state.is_cancelling = True
    # The signal is handled when the job has ended. If the owner dies first, the next owner reads it.
    state.cancel_signal, state.cancel_reason = event.signal_id, event.reason
    clear_work(state)
    for step_id, step in state.steps.items():
        if step.status in OPEN and step_id not in left:
            step.status = "cancelled"
            step.waits_for = step.question = None
            step.retry_at = step.delay_s = step.deadline_at = None
    state.unfinished = len(left)
    for step_id in event.steps:
        needs = state.graph.needs[step_id]
        state.steps[step_id].needs_left = sum(1 for name in needs if name in left)
        if not state.steps[step_id].needs_left:
            became_ready(state, step_id)

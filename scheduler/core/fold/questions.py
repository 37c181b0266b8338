"""Folds questions to a person and their answers: approvals, and questions about doubt."""

from __future__ import annotations

from orc.ledger.events import ApprovalDecided, ApprovalRequested, Payload
from orc.scheduler.core.fold.state import JobState, OpenQuestion
from orc.scheduler.core.fold.work import add_expiry, leave_queue

REJECT = "reject"
YES_OR_NO = ("approve", REJECT)


def asked(state: JobState, event: ApprovalRequested) -> None:
    """Fold the event."""
    step = state.steps[event.step]
    is_approval = state.graph.steps[event.step].facts.asks_person
    step.status = "waiting"
    step.waits_for = "approval" if is_approval else "in_doubt"
    leave_queue(state, event.step)
    step.question = OpenQuestion(
        event.message, event.options, event.expires_at, event.on_timeout, event.timeout_s
    )
    state.questions.add(event.step)
    add_expiry(state, event.step)


def decided(state: JobState, event: ApprovalDecided) -> None:
    """Fold the event. The next event says how the step continues."""
    step = state.steps[event.step]
    state.signal_seen = max(state.signal_seen, event.signal_id or 0)
    if step.waits_for == "in_doubt":
        # Approved: another attempt follows. Rejected: the next event is the failure.
        step.status, step.waits_for = "pending", None
    else:
        step.output = answer_of(event)
    close_question(state, event.step)


def answer_of(event: ApprovalDecided) -> Payload:
    """The output of the step for the decision, also for a rejection."""
    # Keys in sorted order, as in stored values.
    value = {"by": event.by, "comment": event.comment, "decision": event.option}
    return Payload(value=value)


def close_question(state: JobState, step_id: str) -> None:
    """Remove the step's question."""
    state.steps[step_id].question = None
    state.questions.discard(step_id)

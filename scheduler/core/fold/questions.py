"""Questions to persons: asked by an approval, or about a call in doubt, and answered once."""

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
    step.question = OpenQuestion(event.options, event.expires_at, event.on_timeout)
    state.questions.add(event.step)
    add_expiry(state, event.step)


def decided(state: JobState, event: ApprovalDecided) -> None:
    """Fold the event; what follows from the answer is told by the event after it."""
    step = state.steps[event.step]
    state.signal_seen = max(state.signal_seen, event.signal_id or 0)
    if step.waits_for == "in_doubt":
        # What follows a yes is another attempt; what follows a no is a failure, told next.
        step.status, step.waits_for = "pending", None
    else:
        step.output = answer_of(event)
    close_question(state, event.step)


def answer_of(event: ApprovalDecided) -> Payload:
    """What the step shows of the decision, a rejected one too."""
    # In the order in which a stored value has its keys.
    value = {"by": event.by, "comment": event.comment, "decision": event.option}
    return Payload(value=value)


def close_question(state: JobState, step_id: str) -> None:
    """Nobody is asked any more."""
    state.steps[step_id].question = None
    state.questions.discard(step_id)

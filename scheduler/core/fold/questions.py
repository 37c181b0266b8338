"""Questions to persons: asked by an approval, or about a call in doubt, and answered once."""

from __future__ import annotations

import heapq

from orc.ledger.events import ApprovalDecided, ApprovalRequested, Payload
from orc.scheduler.core.commands import DecideApproval
from orc.scheduler.core.fold.state import JobState, OpenQuestion

REJECT = "reject"
YES_OR_NO = ("approve", REJECT)


def asked(state: JobState, event: ApprovalRequested) -> None:
    """Fold the event."""
    step = state.steps[event.step]
    is_approval = state.graph.steps[event.step].facts.asks_person
    step.status = "waiting"
    step.waits_for = "approval" if is_approval else "in_doubt"
    step.ticket = 0
    step.question = OpenQuestion(event.options, event.expires_at, event.on_timeout)
    state.questions.add(event.step)
    if event.expires_at is not None:
        heapq.heappush(state._expiries, (event.expires_at, event.step))


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


def late_decisions(state: JobState, now: float) -> list[DecideApproval]:
    """What is decided where the time for an answer is over."""
    found = []
    while state._expiries and state._expiries[0][0] <= now:
        expires_at, step_id = heapq.heappop(state._expiries)
        question = state.steps[step_id].question
        if question is not None and question.expires_at == expires_at:
            found.append(DecideApproval(step_id, question.on_timeout or REJECT))
    return found


def next_expiry(state: JobState) -> float | None:
    """When the next question has had its time, in seconds since 1970."""
    while state._expiries:
        expires_at, step_id = state._expiries[0]
        question = state.steps[step_id].question
        if question is not None and question.expires_at == expires_at:
            return expires_at
        heapq.heappop(state._expiries)
    return None

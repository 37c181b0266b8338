"""The rules of attempts that were cut short: what was under way may have been done, or not."""

from __future__ import annotations

from orc.ledger.events import ApprovalRequested
from orc.scheduler.core.commands import Failed
from orc.scheduler.core.fold.doubt import LOST, is_held_back
from orc.scheduler.core.fold.questions import YES_OR_NO
from orc.scheduler.core.fold.state import Doubt, JobState

_UNDER_WAY: dict[Doubt, str] = {
    "call": "a call was under way",
    "tool": "a tool was at work",
    "work": "it was under way",
}


def ask_again(state: JobState, step_id: str) -> list[ApprovalRequested]:
    """The question whether the step may do again what it may have done."""
    step = state.steps[step_id]
    assert step.status == "pending"
    assert is_held_back(state, step_id)
    return [
        ApprovalRequested(
            step=step_id,
            attempt=step.attempts,
            message=f"{what_is_unknown(state, step_id)}: do it again?",
            options=YES_OR_NO,
        )
    ]


def lost(state: JobState, step_id: str) -> Failed:
    """The failure of a step that must not do again what it may have done."""
    return Failed(LOST, what_is_unknown(state, step_id), 0.0, final=True)


def what_is_unknown(state: JobState, step_id: str) -> str:
    """What a person is told of it."""
    doubt = state.steps[step_id].in_doubt
    assert doubt is not None
    return f"{_UNDER_WAY[doubt]} when it was cut short, and nobody knows how that ended"

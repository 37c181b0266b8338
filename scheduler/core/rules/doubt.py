"""The rules of attempts that were cut short: what was under way may have been done, or not."""

from __future__ import annotations

from orc.ledger.events import ApprovalRequested
from orc.scheduler.core.commands import Failed
from orc.scheduler.core.fold.doubt import UNKNOWN_OUTCOME, is_held_by_doubt
from orc.scheduler.core.fold.questions import YES_OR_NO
from orc.scheduler.core.fold.state import Doubt, JobState

_UNDER_WAY: dict[Doubt, str] = {
    "call": "a call was under way",
    "tool": "a tool was at work",
    "work": "it was under way",
}


def ask_about_doubt(state: JobState, step_id: str) -> list[ApprovalRequested]:
    """The question whether the step may do again what it may have done."""
    step = state.steps[step_id]
    assert step.status == "pending"
    assert is_held_by_doubt(state, step_id)
    return [
        ApprovalRequested(
            step=step_id,
            attempt=step.attempts,
            message=f"{describe_doubt(state, step_id)}: do it again?",
            options=YES_OR_NO,
        )
    ]


def doubt_failure(state: JobState, step_id: str) -> Failed:
    """The failure of a step that must not do again what it may have done."""
    return Failed(UNKNOWN_OUTCOME, describe_doubt(state, step_id), 0.0, final=True)


def describe_doubt(state: JobState, step_id: str) -> str:
    """What a person is told of it."""
    doubt = state.steps[step_id].in_doubt
    assert doubt is not None
    return f"{_UNDER_WAY[doubt]} when it was cut short, and nobody knows how that ended"

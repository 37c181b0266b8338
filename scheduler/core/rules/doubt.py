"""The rules for steps in doubt: an interrupted attempt may or may not have done its work."""

from __future__ import annotations

from orc.ledger.events import ApprovalRequested
from orc.scheduler.core.commands import Failed
from orc.scheduler.core.fold.doubt import UNKNOWN_OUTCOME, is_held_by_doubt
from orc.scheduler.core.fold.questions import YES_OR_NO
from orc.scheduler.core.fold.state import Doubt, JobState

_INTERRUPTED: dict[Doubt, str] = {
    "call": "interrupted during a call to the model",
    "tool": "interrupted during a tool call",
    "work": "interrupted while it ran",
}


def ask_about_doubt(state: JobState, step_id: str) -> list[ApprovalRequested]:
    """The question to a person whether the step may run again."""
    step = state.steps[step_id]
    assert step.status == "pending"
    assert is_held_by_doubt(state, step_id)
    return [
        ApprovalRequested(
            step=step_id,
            attempt=step.attempts,
            message=f"{describe_doubt(state, step_id)}. Run it again?",
            options=YES_OR_NO,
        )
    ]


def doubt_failure(state: JobState, step_id: str) -> Failed:
    """The failure of a step in doubt with `on_unknown: fail`."""
    return Failed(UNKNOWN_OUTCOME, describe_doubt(state, step_id), 0.0, final=True)


def describe_doubt(state: JobState, step_id: str) -> str:
    """The step's doubt, for people."""
    doubt = state.steps[step_id].in_doubt
    assert doubt is not None
    return f"{_INTERRUPTED[doubt]}; it may or may not have completed"

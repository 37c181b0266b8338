"""The rules of attempts whose process died: what was under way may have been done, or not."""

from __future__ import annotations

from ledger.events import AnyEvent, ApprovalRequested, StepInterrupted
from scheduler.core.commands import Failed
from scheduler.core.job_state import JobState
from scheduler.core.questions import YES_OR_NO, is_in_doubt


def end_in_doubt(state: JobState, step_id: str, *, goes_on: bool) -> list[AnyEvent]:
    """The end of an attempt that was running; what follows is the step's `on_unknown`."""
    step = state.steps[step_id]
    cut = StepInterrupted(step=step_id, attempt=step.attempts, reason="crash")
    definition = state.graph.steps[step_id]
    if not goes_on or definition.on_unknown != "ask" or not is_in_doubt(state, step_id):
        return [cut]
    asked = ApprovalRequested(
        step=step_id,
        attempt=step.attempts,
        message=f"{what_is_unknown(state, step_id)}: do it again?",
        options=YES_OR_NO,
    )
    return [cut, asked]


def lost(state: JobState, step_id: str) -> Failed:
    """The failure of a step that must not do again what it may have done."""
    unknown = what_is_unknown(state, step_id)
    return Failed(kind="connection", message=unknown, duration_s=0.0, final=True)


def what_is_unknown(state: JobState, step_id: str) -> str:
    """What a person is told of it."""
    is_prompt = state.graph.steps[step_id].kind == "prompt"
    what = "a call was under way" if is_prompt else "it was under way"
    return f"{what} when its process died, and nobody knows how that ended"

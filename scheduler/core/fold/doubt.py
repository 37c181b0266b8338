"""What is in doubt of an attempt that was cut short: it may have been done, or not.

A step whose `on_unknown` is `retry` just runs again. Any other is held back until a
person has said that it may, or until it has failed for it; that outlives the owner,
a cancel and an amendment, since what may have been done stays so.
"""

from __future__ import annotations

from orc.ledger.events import FailureKind, StepFailed
from orc.scheduler.core.fold.state import Doubt, JobState

UNKNOWN_OUTCOME: FailureKind = "connection"
"""The kind of failure of a step that must not do again what it may have done."""


def find_doubt(state: JobState, step_id: str) -> Doubt | None:
    """What may have been done by the attempt that is cut short now; none where nothing can have."""
    if state.graph.steps[step_id].facts.runs_code:
        return "work"
    return state.steps[step_id].in_flight


def is_held_by_doubt(state: JobState, step_id: str) -> bool:
    """Whether the step must not just run again."""
    definition = state.graph.steps[step_id]
    return state.steps[step_id].in_doubt is not None and definition.on_unknown != "retry"


def settles_doubt(state: JobState, event: StepFailed) -> bool:
    """Whether the failure is what the doubt comes to: who resumes the job after it, knows.

    A person who said no did not say that nothing was done, and is asked again.
    """
    return event.kind == UNKNOWN_OUTCOME and state.graph.steps[event.step].on_unknown == "fail"

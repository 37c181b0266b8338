"""Doubt: an interrupted attempt may or may not have done its work.

With `on_unknown: retry` the step runs again. With `ask` it waits for a person's decision, with
`fail` it fails. The doubt survives a new owner, a cancel and an amendment.
"""

from __future__ import annotations

from orc.ledger.events import FailureKind, StepFailed
from orc.scheduler.core.fold.state import Doubt, JobState

UNKNOWN_OUTCOME: FailureKind = "connection"
"""The failure kind of a step in doubt with `on_unknown: fail`."""


def find_doubt(state: JobState, step_id: str) -> Doubt | None:
    """What the attempt that is being interrupted may have done; None if it was doing nothing."""
    definition = state.graph.steps[step_id]
    if definition.is_remote and state.steps[step_id].placement is None:
        # No worker was allowed to start it.
        return None
    if definition.facts.is_one_action:
        return "work"
    return state.steps[step_id].in_flight


def is_held_by_doubt(state: JobState, step_id: str) -> bool:
    """Whether the step is in doubt and must not run again without a decision."""
    definition = state.graph.steps[step_id]
    return state.steps[step_id].in_doubt is not None and definition.on_unknown != "retry"


def asks_about_doubt(state: JobState, step_id: str) -> bool:
    """Whether the step is in doubt and a person must say whether it runs again."""
    return is_held_by_doubt(state, step_id) and state.graph.steps[step_id].on_unknown == "ask"


def settles_doubt(state: JobState, event: StepFailed) -> bool:
    """Whether the failure ends the doubt: a resume after it runs the step again.

    A person's rejection does not end the doubt; a resume asks again.
    """
    return event.kind == UNKNOWN_OUTCOME and state.graph.steps[event.step].on_unknown == "fail"

"""Folds scores and tags: which results still have to be scored, and which tags the job has.

A step whose definition has scores is due for evaluation when it has a result. It stays in
`JobState.unscored` until its scores are recorded, all in one commit, so that each later owner of the
job continues there. An amendment that changes only scores puts it there again.
"""

from __future__ import annotations

from orc.ledger.events import JobAmended, JobTagged, ScoreRecorded
from orc.ledger.step_names import is_within
from orc.scheduler.core.fold.state import JobState
from orc.scheduler.core.fold.work import add_evaluation


def has_result(state: JobState, step_id: str) -> None:
    """Fold that a step that is scored has a result: its scores are due."""
    state.unscored[step_id] = None
    add_evaluation(state, step_id)


def score_recorded(state: JobState, event: ScoreRecorded) -> None:
    """Fold the event. All scores of a step's definition are recorded together."""
    state.signal_seen = max(state.signal_seen, event.signal_id or 0)
    if event.by_step is not None:
        state.unscored.pop(event.by_step, None)


def tagged(state: JobState, event: JobTagged) -> None:
    """Fold the event."""
    state.signal_seen = max(state.signal_seen, event.signal_id or 0)
    for tag in event.removed:
        state.tags.pop(tag, None)
    state.tags |= dict.fromkeys(event.added)


def rescore(state: JobState, event: JobAmended) -> None:
    """Fold which results the amended job has to score; the steps are replaced already."""
    again = set(event.rescored or ())
    state.unscored = {
        step_id: None
        for step_id, step in state.steps.items()
        if step.status == "succeeded"
        and state.graph.steps[step_id].is_scored
        and (step_id in state.unscored or is_within(step_id, again))
    }


def score_again(state: JobState) -> None:
    """Add the work that is left, after the log of work items was begun anew."""
    for step_id in state.unscored:
        add_evaluation(state, step_id)

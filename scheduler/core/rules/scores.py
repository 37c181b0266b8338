"""The rules for what people and judges say of a job: scores, tags and notes."""

from __future__ import annotations

from msgspec.structs import replace

from orc.ledger.events import AnyEvent, JobNoted, JobTagged, ScoreRecorded
from orc.scheduler.core.assessments import NoteJob, RecordScores, Score, ScoreByPerson, TagJob
from orc.scheduler.core.fold.evolve import JobState


def record_scores(state: JobState, command: RecordScores) -> list[AnyEvent]:
    """The scores that the step's own expressions gave, once for each of its results."""
    if command.step not in state.unscored:
        return []
    return [
        replace(
            _recorded(state, score),
            who="expression" if score.about == command.step else "judge",
            by_step=command.step,
        )
        for score in command.scores
    ]


def score_by_person(state: JobState, command: ScoreByPerson) -> list[AnyEvent]:
    """The scores that a person gives. A step may have been removed since they were sent."""
    return [
        replace(_recorded(state, score), by=command.by, signal_id=command.signal_id)
        for score in command.scores
        if score.about in state.steps
    ]


def tag(state: JobState, command: TagJob) -> list[AnyEvent]:
    """The change of the job's tags, if there is one."""
    added = tuple(name for name in command.added if name not in state.tags)
    removed = tuple(name for name in command.removed if name in state.tags)
    if not added and not removed:
        return []
    by, signal_id = command.by, command.signal_id
    return [JobTagged(added=added, removed=removed, by=by, signal_id=signal_id)]


def note(command: NoteJob) -> list[AnyEvent]:
    """The note."""
    return [JobNoted(text=command.text, by=command.by, signal_id=command.signal_id)]


def _recorded(state: JobState, score: Score) -> ScoreRecorded:
    return ScoreRecorded(
        step=score.about,
        attempt=state.steps[score.about].attempts,
        name=score.name,
        value=score.value,
        error=score.error,
        why=score.why,
        who="human",
    )

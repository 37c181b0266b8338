"""The rules of results that are used again, of amended jobs, and of runs of some steps alone."""

from __future__ import annotations

from orc.ledger.events import FileRef, JobInterrupted, StepReused
from orc.ledger.kinds import NOT_RUNNING
from orc.scheduler.core.commands import ReuseStep
from orc.scheduler.core.fold.state import JobState
from orc.scheduler.core.rules.files import find_conflict


def reuse_step(state: JobState, command: ReuseStep) -> list[StepReused]:
    """The step's end with a result from elsewhere."""
    event = command.event
    assert state.steps[event.step].status in NOT_RUNNING
    assert can_own(state, event.step, event.files)
    return [event]


def can_own(state: JobState, step_id: str, files: tuple[FileRef, ...]) -> bool:
    """Whether the files can stand beside those of the job's other steps."""
    return find_conflict(state, step_id, files) is None


def stop_when_reached(state: JobState) -> list[JobInterrupted]:
    """The job's stop, where the steps that alone were asked for have ended and others have not."""
    if state.only is None or state.only_left or state.running_total:
        return []
    return [JobInterrupted()]

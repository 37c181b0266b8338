"""The rules for the end of a job: it succeeds, fails, runs out of time, or stops where asked to."""

from __future__ import annotations

from orc.ledger.events import (
    AnyEvent,
    Failure,
    JobFailed,
    JobInterrupted,
    JobSucceeded,
    StepSkipped,
)
from orc.ledger.kinds import NOT_RUNNING
from orc.ledger.wording import duration_text
from orc.scheduler.core.commands import Failed
from orc.scheduler.core.fold.cancelling import cancelled
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.rules.failures import failed_event

FAILURES_MAX = 1000


def time_out(state: JobState) -> list[AnyEvent]:
    """Fail the job, and every step that is not done, since its time is over."""
    message = f"the job's timeout of {duration_text(state.timeout_s or 0.0)} is over"
    events: list[AnyEvent] = []
    for step_id, step in state.steps.items():
        if step.status in NOT_RUNNING:
            events.append(StepSkipped(step=step_id, reason="job_timeout", because=()))
    over = Failed("timeout", message, 0.0, final=True, tolerable=False)
    events += [
        failed_event(state, step_id, over)
        for step_id, step in reversed(state.steps.items())
        if step.status == "running"
    ]
    failures = [Failure(kind="timeout", message=message), *_failures(state)]
    events.append(JobFailed(failures=tuple(failures[:FAILURES_MAX]), failures_total=len(failures)))
    return events


def settle(state: JobState) -> list[AnyEvent]:
    """End the job if nothing is left to do."""
    if state.is_cancelling and not state.unfinished:
        return [cancelled(state)]
    if state.status != "running":
        return []
    if state.unfinished or state.unscored:
        return [*_stop_when_reached(state)]
    if not state.failed:
        return [JobSucceeded()]
    failures = _failures(state)
    return [JobFailed(failures=failures[:FAILURES_MAX], failures_total=len(failures))]


def _failures(state: JobState) -> tuple[Failure, ...]:
    """The failures that count, in the order of the steps: equal outcomes give equal events."""
    names = sorted(state.failed, key=lambda name: state.steps[name].index)
    return tuple(state.failed[name] for name in names)


def _stop_when_reached(state: JobState) -> list[JobInterrupted]:
    """Stop the job if only some steps were to run (`only`) and all of them have ended."""
    if state.only is None or state.only_left or state.running_total or state.unscored:
        return []
    return [JobInterrupted()]

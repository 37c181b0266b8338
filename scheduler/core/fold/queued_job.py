"""Folds a job's place in the queue: whether workers run it, and how often that failed.

The ledger is the queue. A job enters it with `job.submitted` and leaves it when it ends, when all
steps that were asked for have ended, when a person resumes or amends it, or when too many workers
in a row died with it. A worker takes it by the owner's lock, which is no part of the state.
"""

from __future__ import annotations

from orc.ledger.events import (
    AnyEvent,
    ApprovalDecided,
    BudgetRaised,
    FileWritten,
    JobAmended,
    JobInterrupted,
    JobResumed,
    JobStarted,
    JobWaiting,
    LlmResponded,
    StepExpanded,
    StepFailed,
    StepReused,
    StepSkipped,
    StepSucceeded,
    ToolReturned,
)
from orc.ledger.kinds import JOB_ENDED
from orc.scheduler.core.fold.batches import wait_only_for_batches
from orc.scheduler.core.fold.reopen import seconds_of
from orc.scheduler.core.fold.state import JobState

BATCH_LOOK_S = 300.0
"""How long after a job was left its batches are looked at again."""

TAKES_MAX = 3
"""How many workers in a row may die with a job, without any progress, until it leaves the queue."""

_PROGRESS = (
    ApprovalDecided,
    FileWritten,
    JobInterrupted,
    JobWaiting,
    LlmResponded,
    StepExpanded,
    StepFailed,
    StepReused,
    StepSkipped,
    StepSucceeded,
    ToolReturned,
)
"""Events that a later owner builds on, or with which an owner ended in order."""


def fold_queue(state: JobState, event: AnyEvent) -> None:
    """Fold what the event means for the queue, after everything else that it means."""
    if event.type == "job.submitted":
        state.is_queued = event.queued is not None
    if not state.is_queued:
        return
    match event:
        case JobStarted() | JobResumed():
            state.is_queued = bool(event.from_queue)
            state.takes += 1
        case JobAmended():
            state.is_queued = False
        case JobInterrupted():
            state.is_queued = event.queue == "back"
        case _:
            state.is_queued = state.status not in JOB_ENDED
    if isinstance(event, _PROGRESS):
        state.takes = 0
    if isinstance(event, JobWaiting):
        state.is_answered = False
    elif isinstance(event, ApprovalDecided | BudgetRaised):
        state.is_answered = True


def takeable_at(state: JobState) -> float | None:
    """From when on a worker may take a job without an owner, in seconds since 1970; None for never.

    A job that was left while servers work on its batches may be taken some minutes later. One that waits
    for a person may be taken when an answer was recorded, or when a question's
    time is over.
    """
    if not state.is_queued:
        return None
    if state.status != "waiting" or state.is_answered:
        return 0.0
    if wait_only_for_batches(state):
        return seconds_of(state.last_at) + BATCH_LOOK_S
    questions = (state.steps[step_id].question for step_id in state.questions)
    expiries = (question.expires_at for question in questions if question is not None)
    return min((at for at in expiries if at is not None), default=None)

"""Folds the events of batches: which calls wait in which batch, and where each batch stands.

An attempt whose call waits in a batch needs no process: it stays open when the owner of the job
stops or dies, and the next owner continues it.
"""

from __future__ import annotations

from orc.ledger.events import (
    BatchAccepted,
    BatchEnded,
    BatchProgressed,
    BatchSubmitted,
    LlmRequested,
)
from orc.scheduler.core.fold.batch_state import BatchedCall, BatchOfJob
from orc.scheduler.core.fold.state import JobState

BATCHES = "(batches)"
"""Stands for an executor: that of steps whose calls are submitted in batches."""
BATCHED_MAX = 10_000
"""How many steps at most wait for batches or gather for one at a time."""


def fold_batch(
    state: JobState,
    event: BatchSubmitted | BatchAccepted | BatchProgressed | BatchEnded,
    now: float,
) -> None:
    """Fold the event, which was recorded at `now`, in seconds since 1970."""
    if isinstance(event, BatchSubmitted):
        state.batches[event.batch] = BatchOfJob(
            number=event.batch,
            name=event.name,
            provider=event.provider,
            model=event.model,
            endpoint=event.endpoint or "",
            requests=event.requests,
            submitted_at=now,
        )
        return
    batch = state.batches[event.batch]
    match event:
        case BatchAccepted():
            batch.server_id = event.server_id
        case BatchProgressed():
            batch.answered, batch.failed = event.answered, event.failed
        case BatchEnded():
            batch.ended = event
            batch.answered = batch.answered if event.answered is None else event.answered
            batch.failed = batch.failed if event.failed is None else event.failed


def enter_batch(state: JobState, event: LlmRequested, version: int) -> None:
    """Fold that the step's call was submitted in a batch, if it was."""
    if event.batch is None:
        return
    state.steps[event.step].batched = BatchedCall(
        batch=event.batch,
        call=event.call,
        custom_id=event.custom_id or "",
        request_sha256=event.request_sha256,
        version=version,
    )
    state.batches[event.batch].waiting[event.step] = None
    state.running_elsewhere += 1


def leave_batch(state: JobState, step_id: str) -> None:
    """Fold that the step's call has ended, or is waited for no more."""
    step = state.steps[step_id]
    if step.batched is None:
        return
    state.batches[step.batched.batch].waiting.pop(step_id, None)
    step.batched = None
    state.running_elsewhere -= 1


def open_batched(state: JobState) -> list[str]:
    """The running steps whose calls wait in batches."""
    return [step_id for batch in state.batches.values() for step_id in batch.waiting]


def wait_only_for_batches(state: JobState) -> bool:
    """Whether calls in batches are all that runs."""
    waiting = sum(len(batch.waiting) for batch in state.batches.values())
    return waiting > 0 and state.running_total == waiting


def is_batched(state: JobState, step_id: str) -> bool:
    """Whether the step's calls are submitted in batches."""
    definition = state.graph.steps[step_id]
    return definition.batch and state.provider_override in (None, definition.provider)

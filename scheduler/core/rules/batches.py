"""The rules for batches: what is recorded of them, and which calls in them are given up."""

from __future__ import annotations

from msgspec.structs import replace

from orc.ledger.events import AnyEvent, JobAmended, JobWaiting, StepInterrupted
from orc.ledger.file_owners import dropped_by
from orc.ledger.step_names import lineage
from orc.scheduler.core.batch_commands import RecordBatch, SubmitBatch
from orc.scheduler.core.fold.batches import open_batched, wait_only_for_batches
from orc.scheduler.core.fold.placing import is_open
from orc.scheduler.core.fold.state import JobState
from orc.scheduler.core.rules.containers import NAMED_MAX


def submit_batch(state: JobState, command: SubmitBatch) -> list[AnyEvent]:
    """The batch, and its requests whose attempts still run. They are committed before they are sent."""
    event = command.event
    assert event.batch == len(state.batches) + 1
    kept = [one for one in command.requests if is_open(state, one.step, one.attempt)]
    if not kept:
        return []
    return [replace(event, requests=len(kept)), *kept]


def record_batch(state: JobState, command: RecordBatch) -> list[AnyEvent]:
    """The news of a batch that has not ended."""
    batch = state.batches[command.event.batch]
    return [] if batch.ended is not None else [command.event]


def leave_batches(state: JobState) -> list[AnyEvent]:
    """The end of a run that waits for servers only."""
    if not wait_only_for_batches(state):
        return []
    steps = sorted(open_batched(state), key=lambda name: state.steps[name].index)
    return [JobWaiting(reason="batch", steps=tuple(steps[:NAMED_MAX]))]


def cut_batched(state: JobState, amendment: JobAmended | None = None) -> list[AnyEvent]:
    """The interruption of the attempts that wait in batches; with an amendment, of those it drops."""
    dropped = None if amendment is None else dropped_by(amendment)
    return [
        StepInterrupted(step=step_id, attempt=state.steps[step_id].attempts, reason="cancel")
        for step_id in open_batched(state)
        if dropped is None or not dropped.isdisjoint(lineage(step_id))
    ]

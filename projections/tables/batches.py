"""The projector's handlers for batches, and for the calls in them."""

from __future__ import annotations

from orc.ledger.events import (
    BatchAccepted,
    BatchEnded,
    BatchProgressed,
    BatchSubmitted,
    Recorded,
    StepEvent,
)
from orc.projections.tables.writer import Writer


def batch_submitted(writer: Writer, recorded: Recorded, event: BatchSubmitted) -> None:
    """Add the row of a batch that is about to be submitted."""
    writer.add(
        "batch_submitted",
        batch_id=_key(recorded, event.batch),
        name=event.name,
        job_id=recorded.job_id,
        batch=event.batch,
        provider=event.provider,
        model=event.model,
        endpoint=event.endpoint,
        requests=event.requests,
        size_bytes=event.size_bytes,
        submitted_at=recorded.recorded_at,
    )


def batch_accepted(writer: Writer, recorded: Recorded, event: BatchAccepted) -> None:
    """Record that the server has the batch."""
    key = _key(recorded, event.batch)
    writer.add("batch_accepted", batch_id=key, server_id=event.server_id)


def batch_progressed(writer: Writer, recorded: Recorded, event: BatchProgressed) -> None:
    """Record what the server says of the batch, or why it cannot be asked."""
    writer.add(
        "batch_progressed",
        batch_id=_key(recorded, event.batch),
        answered=event.answered,
        failed=event.failed,
        trouble=event.trouble,
    )


def batch_ended(writer: Writer, recorded: Recorded, event: BatchEnded) -> None:
    """Record how the batch ended."""
    writer.add(
        "batch_ended",
        batch_id=_key(recorded, event.batch),
        status=event.outcome,
        answered=event.answered,
        failed=event.failed,
        ended_at=recorded.recorded_at,
        failure=event.message,
    )


def enter_batch(writer: Writer, recorded: Recorded, event: StepEvent, batch: int | None) -> None:
    """Record that the step waits for a batch, if its call is in one."""
    if batch is not None:
        writer.add("step_batched", step_id=f"{recorded.job_id}/{event.step}", batch=batch)


def leave_batch(writer: Writer, recorded: Recorded, event: StepEvent) -> None:
    """Record that the step waits for no batch any more."""
    writer.add("step_unbatched", step_id=f"{recorded.job_id}/{event.step}")


def _key(recorded: Recorded, batch: int) -> str:
    return f"{recorded.job_id}/{batch}"

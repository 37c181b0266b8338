"""The projector: how each event changes the tables, in the transaction that appends the event.

The projector collects the rows of a batch and runs each statement once for all its rows, in the
order of `ORDER`. That is the usual order of events within one turn of the runner's loop. If an
event comes earlier in this order than the event before it, the projector first writes the rows
that it has collected. An attempt that begins and succeeds within the batch is written once, as it
ended. The tables are therefore the same for every size of batch.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from orc.ledger.events import (
    ApprovalDecided,
    ApprovalRequested,
    BatchAccepted,
    BatchEnded,
    BatchProgressed,
    BatchSubmitted,
    BlobRemoved,
    BudgetExceeded,
    BudgetRaised,
    CacheHit,
    CircuitClosed,
    CircuitOpened,
    FileWritten,
    HookEnded,
    HookStarted,
    JobAmended,
    JobCancelled,
    JobCancelling,
    JobFailed,
    JobInterrupted,
    JobNoted,
    JobResumed,
    JobStarted,
    JobSubmitted,
    JobSucceeded,
    JobTagged,
    JobWaiting,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    Recorded,
    ScoreRecorded,
    StepConfigured,
    StepExpanded,
    StepFailed,
    StepInterrupted,
    StepPlaced,
    StepReattached,
    StepReused,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepSwitched,
    StepUnplaced,
    ToolCalled,
    ToolReturned,
)
from orc.ledger.kinds import INTERRUPTED
from orc.projections.folds.tolerance_fold import tolerances_of
from orc.projections.money.prices import NO_PRICES, PriceTable
from orc.projections.tables.assessment_events import add_tag, job_noted, job_tagged, score_recorded
from orc.projections.tables.batches import (
    batch_accepted,
    batch_ended,
    batch_progressed,
    batch_submitted,
    leave_batch,
)
from orc.projections.tables.calls import (
    cache_hit,
    circuit_closed,
    circuit_opened,
    llm_failed,
    llm_requested,
    llm_responded,
    mark_in_doubt,
    tool_called,
    tool_returned,
)
from orc.projections.tables.flow import (
    NOT_ENDED,
    approval_decided,
    approval_requested,
    budget_exceeded,
    job_waiting,
    step_configured,
    step_expanded,
    step_placed,
    step_ran,
    step_skipped,
    step_switched,
    step_unplaced,
    whole_attempts,
)
from orc.projections.tables.reuse import file_written, job_amended, step_reused, step_rows
from orc.projections.tables.schema import create_tables, derived_again
from orc.projections.tables.version import VERSION
from orc.projections.tables.writer import Writer, preview


class ReadModel:
    """The `ledger.Projector` of the read model; costs are computed with `prices`."""

    version = VERSION
    derived_again = staticmethod(derived_again)

    def __init__(self, prices: PriceTable = NO_PRICES) -> None:
        self._prices = prices

    def create(self, connection: sqlite3.Connection) -> None:
        """See `Projector.create`."""
        create_tables(connection)

    def apply(self, connection: sqlite3.Connection, batch: Sequence[Recorded]) -> None:
        """See `Projector.apply`."""
        writer = Writer(connection, self._prices)
        phase = 0
        whole = whole_attempts(batch)
        ends = set(whole.values())
        for place, recorded in enumerate(batch):
            if place not in ends:
                next_phase, handle = _HANDLERS[type(recorded.event)]
                if next_phase < phase:
                    writer.flush()
                phase = next_phase
                if place in whole:
                    step_ran(writer, recorded, batch[whole[place]])
                else:
                    handle(writer, recorded, recorded.event)
            _tolerated(writer, recorded)
        writer.flush()


def _tolerated(writer: Writer, recorded: Recorded) -> None:
    """Add the rows of failures that the event records and that do not end the job."""
    for found in tolerances_of(recorded):
        step_key = f"{recorded.job_id}/{found.step}"
        writer.add(
            "tolerated",
            tolerated_id=f"{step_key}/{found.key}",
            name=found.step,
            job_id=recorded.job_id,
            step_id=step_key,
            setting=found.setting,
            kind=found.kind,
            message=found.message,
            version=recorded.version,
            recorded_at=recorded.recorded_at,
            failures=found.failures,
        )


def _submitted(writer: Writer, recorded: Recorded, event: JobSubmitted) -> None:
    job_id = recorded.job_id
    spec = writer.spec(event.spec, job_id)
    writer.add(
        "job",
        job_id=job_id,
        name=event.project,
        task_description=spec.get("task_description"),
        provider=spec["provider"],
        model=spec["model"],
        submitted_at=recorded.recorded_at,
        steps_total=len(spec["steps"]),
        spec_file=event.source_name,
        runs_dir=event.runs_dir,
        forked_from=event.forked_from,
        queued=int(event.queued is not None),
    )
    for row in step_rows(job_id, spec):
        writer.add("step", **row)
    for tag in spec.get("tags", ()):
        add_tag(writer, recorded, tag, None)


def _job_started(writer: Writer, recorded: Recorded, event: JobStarted) -> None:
    owner = f"{event.owner.pid} on {event.owner.host}"
    writer.add(
        "job_started",
        job_id=recorded.job_id,
        started_at=recorded.recorded_at,
        owner=owner,
        queued=int(bool(event.from_queue)),
    )


def _job_resumed(writer: Writer, recorded: Recorded, event: JobResumed) -> None:
    job_id = recorded.job_id
    owner = f"{event.owner.pid} on {event.owner.host}"
    writer.add("job_resumed", job_id=job_id, owner=owner, queued=int(bool(event.from_queue)))
    writer.add("reopened", job_id=job_id, kept=json.dumps(event.kept or ()))
    writer.add("recounted", job_id=job_id)
    writer.add("circuits_reset", job_id=job_id, closed_at=recorded.recorded_at)


def _job_interrupted(writer: Writer, recorded: Recorded, event: JobInterrupted) -> None:
    writer.add("job_interrupted", job_id=recorded.job_id, queued=int(event.queue == "back"))


def _job_succeeded(writer: Writer, recorded: Recorded, event: JobSucceeded) -> None:
    _job_ended(writer, recorded, "succeeded", None)


def _job_failed(writer: Writer, recorded: Recorded, event: JobFailed) -> None:
    first = event.failures[0] if event.failures else None
    others = f" (and {event.failures_total - 1} more)" if event.failures_total > 1 else ""
    named = f"{first.step}: " if first is not None and first.step else ""
    failure = f"{named}{first.message}{others}" if first is not None else None
    _job_ended(writer, recorded, "failed", failure)


def _job_cancelling(writer: Writer, recorded: Recorded, event: JobCancelling) -> None:
    writer.add(
        "steps_cancelled",
        job_id=recorded.job_id,
        finished_at=recorded.recorded_at,
        kept=json.dumps(list(event.steps)),
    )


def _job_cancelled(writer: Writer, recorded: Recorded, event: JobCancelled) -> None:
    writer.add(
        "steps_cancelled",
        job_id=recorded.job_id,
        finished_at=recorded.recorded_at,
        kept="[]",
    )
    _job_ended(writer, recorded, "cancelled", event.reason)


def _job_ended(writer: Writer, recorded: Recorded, status: str, failure: str | None) -> None:
    writer.add("scores_left", job_id=recorded.job_id)
    writer.add(
        "job_ended",
        job_id=recorded.job_id,
        status=status,
        finished_at=recorded.recorded_at,
        failure=failure,
    )


def _step_started(writer: Writer, recorded: Recorded, event: StepStarted) -> None:
    job_id, step_key = recorded.job_id, f"{recorded.job_id}/{event.step}"
    writer.add(
        "step_started",
        step_id=step_key,
        attempts=event.attempt,
        started_at=recorded.recorded_at,
        executor=event.executor,
        host=None,
        queued_s=None,
    )
    if event.attempt > 1:
        writer.add("scores_dropped", step_id=step_key)
    writer.add(
        "attempt",
        attempt_id=f"{step_key}/{event.attempt}",
        name=f"{event.step} {event.attempt}",
        job_id=job_id,
        step_id=step_key,
        attempt=event.attempt,
        started_at=recorded.recorded_at,
        cache_key=event.cache_key,
        executor=event.executor,
        **NOT_ENDED,
    )


def _step_succeeded(writer: Writer, recorded: Recorded, event: StepSucceeded) -> None:
    output, blob = preview(event.output)
    writer.add(
        "step_succeeded",
        step_id=f"{recorded.job_id}/{event.step}",
        finished_at=recorded.recorded_at,
        duration_s=event.duration_s,
        output=output,
        output_sha256=blob,
        queued_s=event.queued_s,
        warning=event.warning,
    )
    _attempt_ended(writer, recorded, event, "succeeded")
    writer.count(recorded.job_id, 0)


def _step_failed(writer: Writer, recorded: Recorded, event: StepFailed) -> None:
    status = "failed" if event.retry_at is None else "waiting"
    step_key = f"{recorded.job_id}/{event.step}"
    writer.add(
        "step_failed",
        step_id=step_key,
        status=status,
        finished_at=recorded.recorded_at if status == "failed" else None,
        duration_s=event.duration_s,
        failure_kind=event.kind,
        failure=event.message,
        tolerated=int(bool(event.tolerated)),
        queued_s=event.queued_s,
    )
    mark_in_doubt(writer, recorded, event)
    leave_batch(writer, recorded, event)
    if event.on_content:
        writer.add("calls_rejected", step_id=step_key)
    _attempt_ended(writer, recorded, event, "failed")
    if status == "failed":
        writer.count(recorded.job_id, 1)


def _step_interrupted(writer: Writer, recorded: Recorded, event: StepInterrupted) -> None:
    step_key = f"{recorded.job_id}/{event.step}"
    writer.add("step_interrupted", step_id=step_key)
    mark_in_doubt(writer, recorded, event)
    leave_batch(writer, recorded, event)
    _attempt_ended(writer, recorded, event, INTERRUPTED)
    writer.add("attempt_doubted", attempt_id=f"{step_key}/{event.attempt}")


def _attempt_ended(
    writer: Writer,
    recorded: Recorded,
    event: StepSucceeded | StepFailed | StepInterrupted,
    status: str,
) -> None:
    log, log_blob = (None, None) if event.log is None else preview(event.log)
    failed = event if isinstance(event, StepFailed) else None
    writer.add(
        "attempt_ended",
        attempt_id=f"{recorded.job_id}/{event.step}/{event.attempt}",
        status=status,
        finished_at=recorded.recorded_at,
        duration_s=event.duration_s,
        failure_kind=failed.kind if failed else None,
        failure=failed.message if failed else None,
        exit_code=failed.exit_code if failed else None,
        retry_delay_s=failed.delay_s if failed else None,
        log=log,
        log_sha256=log_blob,
        result_version=recorded.version if status == "succeeded" else None,
        queued_s=None if isinstance(event, StepInterrupted) else event.queued_s,
    )


def _ignore(writer: Writer, recorded: Recorded, event: Any) -> None:
    """The event changes no table: `budget.raised`, for example."""


# For each event the phase, which is the place of its statements in `ORDER`, and its handler.
_HANDLERS: dict[type, tuple[int, Callable[[Writer, Recorded, Any], None]]] = {
    JobSubmitted: (0, _submitted),
    JobAmended: (0, job_amended),
    JobStarted: (1, _job_started),
    JobResumed: (1, _job_resumed),
    BudgetRaised: (1, _ignore),
    BlobRemoved: (1, _ignore),
    CacheHit: (2, cache_hit),
    LlmRequested: (2, llm_requested),
    LlmResponded: (3, llm_responded),
    LlmFailed: (3, llm_failed),
    CircuitOpened: (3, circuit_opened),
    CircuitClosed: (3, circuit_closed),
    BatchSubmitted: (2, batch_submitted),
    BatchAccepted: (3, batch_accepted),
    BatchProgressed: (3, batch_progressed),
    BatchEnded: (3, batch_ended),
    ToolCalled: (4, tool_called),
    ToolReturned: (4, tool_returned),
    FileWritten: (4, file_written),
    StepInterrupted: (5, _step_interrupted),
    ApprovalDecided: (5, approval_decided),
    BudgetExceeded: (6, budget_exceeded),
    StepSucceeded: (6, _step_succeeded),
    StepFailed: (6, _step_failed),
    StepSkipped: (7, step_skipped),
    StepSwitched: (7, step_switched),
    StepConfigured: (7, step_configured),
    StepStarted: (8, _step_started),
    StepReused: (8, step_reused),
    StepReattached: (8, _ignore),
    StepPlaced: (9, step_placed),
    StepUnplaced: (9, step_unplaced),
    StepExpanded: (9, step_expanded),
    ScoreRecorded: (9, score_recorded),
    JobTagged: (9, job_tagged),
    JobNoted: (9, job_noted),
    ApprovalRequested: (9, approval_requested),
    JobWaiting: (10, job_waiting),
    JobInterrupted: (10, _job_interrupted),
    JobSucceeded: (10, _job_succeeded),
    JobFailed: (10, _job_failed),
    JobCancelling: (10, _job_cancelling),
    JobCancelled: (10, _job_cancelled),
    HookStarted: (10, _ignore),
    HookEnded: (10, _ignore),
}

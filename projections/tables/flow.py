"""The projector's handlers for steps that run, expand, are placed, or wait for a person or a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orc.ledger.events import (
    ApprovalDecided,
    ApprovalRequested,
    BudgetExceeded,
    JobWaiting,
    Recorded,
    StepConfigured,
    StepExpanded,
    StepPlaced,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepSwitched,
    StepUnplaced,
)
from orc.ledger.kinds import INTERRUPTED, OUTER_SHAPES
from orc.ledger.wording import limit_text
from orc.projections.tables.assessment_events import dimensions_of
from orc.projections.tables.writer import Writer, preview


def shape_of(step: Mapping[str, Any]) -> str:
    """The kind to show for a step of a recorded spec: `for_each`, `loop` and so on, else its kind."""
    return next((shape for shape in OUTER_SHAPES if step.get(shape)), str(step["kind"]))


def step_expanded(writer: Writer, recorded: Recorded, event: StepExpanded) -> None:
    """Add the rows of the items, rounds or members that a step has expanded to."""
    job_id = recorded.job_id
    dimensions, keys = dimensions_of(writer, event), _keys_of(event)
    for number, child in enumerate(event.children):
        shape = event.shapes[number if len(event.shapes) > 1 else 0]
        writer.add(
            "child",
            step_id=f"{job_id}/{child}",
            name=child,
            job_id=job_id,
            kind=shape.kind,
            needs=", ".join(shape.needs),
            provider=shape.provider,
            model=shape.model,
            parent=event.step,
            dimensions=dimensions[number],
            item_key=keys[number],
        )
    writer.add("expanded", step_id=f"{job_id}/{event.step}", children=event.total)
    writer.add("more_steps", job_id=job_id, added=len(event.children))


def _keys_of(event: StepExpanded) -> list[str | None]:
    """The key of each child; None for a round, a member, and an item that has only a number."""
    if event.keys is not None and len(event.keys) == len(event.children):
        return list(event.keys)
    lead = f"{event.step}["
    names = (child[len(lead) : -1] if child.startswith(lead) else "" for child in event.children)
    # The name of a key never begins with a digit.
    return [name if name and not name[0].isdigit() else None for name in names]


def step_placed(writer: Writer, recorded: Recorded, event: StepPlaced) -> None:
    """Record the worker that took the attempt."""
    at, executor = recorded.recorded_at, event.executor
    _place(writer, recorded, event, host=event.host, worker=event.worker, at=at, executor=executor)


def step_unplaced(writer: Writer, recorded: Recorded, event: StepUnplaced) -> None:
    """Record that the attempt waits for a worker again."""
    _place(writer, recorded, event, host=None, worker=None, at=None)


def _place(
    writer: Writer,
    recorded: Recorded,
    event: StepPlaced | StepUnplaced,
    *,
    host: str | None,
    worker: str | None,
    at: str | None,
    executor: str | None = None,
) -> None:
    step_key = f"{recorded.job_id}/{event.step}"
    writer.add("step_placed", step_id=step_key, host=host, executor=executor)
    writer.add(
        "attempt_placed",
        attempt_id=f"{step_key}/{event.attempt}",
        host=host,
        worker=worker,
        placed_at=at,
        executor=executor,
    )


def approval_requested(writer: Writer, recorded: Recorded, event: ApprovalRequested) -> None:
    """Record that the step waits for a person's decision."""
    writer.add("asked", step_id=f"{recorded.job_id}/{event.step}", question=event.message)


def approval_decided(writer: Writer, recorded: Recorded, event: ApprovalDecided) -> None:
    """Record the decision of a person, or the option that was taken when the time was over."""
    step_key = f"{recorded.job_id}/{event.step}"
    writer.add("decided", step_id=step_key, decision=event.option, decided_by=event.by)


def job_waiting(writer: Writer, recorded: Recorded, event: JobWaiting) -> None:
    """Record that the job waits for a person."""
    writer.add("job_waiting", job_id=recorded.job_id)


def budget_exceeded(writer: Writer, recorded: Recorded, event: BudgetExceeded) -> None:
    """Record that the step waits for a larger budget, and end its attempt."""
    step_key = f"{recorded.job_id}/{event.step}"
    maximum, spent, needs = (
        limit_text(event.limit, amount) for amount in (event.maximum, event.spent, event.needed)
    )
    needed = f"waits for the budget: {event.limit} is {maximum}; spent: {spent}; it needs {needs}"
    writer.add("step_short", step_id=step_key, failure=needed)
    writer.add(
        "attempt_ended",
        attempt_id=f"{step_key}/{event.attempt}",
        status=INTERRUPTED,
        finished_at=recorded.recorded_at,
        duration_s=event.duration_s,
        failure_kind="budget",
        failure=needed,
        exit_code=None,
        retry_delay_s=None,
        log=None,
        log_sha256=None,
        result_version=None,
        queued_s=None,
    )


NOT_ENDED: dict[str, Any] = {
    "status": "running",
    "finished_at": None,
    "duration_s": None,
    "log": None,
    "log_sha256": None,
    "result_version": None,
    "queued_s": None,
}
"""The columns of an attempt that begins, which `step_ran` fills."""


def whole_attempts(batch: Sequence[Recorded]) -> dict[int, int]:
    """The first attempts that begin and succeed in the batch: the place of the start, and of the end.

    Between the two are only starts and ends of other attempts, which change other rows.
    """
    found: dict[int, int] = {}
    begun: dict[tuple[str, str], int] = {}
    for place, recorded in enumerate(batch):
        event = recorded.event
        if event.type == "step.started":
            if event.attempt == 1:
                begun[recorded.job_id, event.step] = place
        elif event.type == "step.succeeded":
            began = begun.pop((recorded.job_id, event.step), None)
            if began is not None:
                found[began] = place
        else:
            begun.clear()
    return found


def step_ran(writer: Writer, began: Recorded, ended: Recorded) -> None:
    """Write the rows of a first attempt that has succeeded, and of its step."""
    start, end = began.event, ended.event
    assert isinstance(start, StepStarted)
    assert isinstance(end, StepSucceeded)
    step_key = f"{ended.job_id}/{end.step}"
    output, output_blob = preview(end.output)
    log, log_blob = (None, None) if end.log is None else preview(end.log)
    writer.add(
        "step_ran",
        step_id=step_key,
        attempts=start.attempt,
        started_at=began.recorded_at,
        executor=start.executor,
        finished_at=ended.recorded_at,
        duration_s=end.duration_s,
        output=output,
        output_sha256=output_blob,
        queued_s=end.queued_s,
        warning=end.warning,
    )
    writer.add(
        "attempt",
        attempt_id=f"{step_key}/{start.attempt}",
        name=f"{start.step} {start.attempt}",
        job_id=began.job_id,
        step_id=step_key,
        attempt=start.attempt,
        started_at=began.recorded_at,
        cache_key=start.cache_key,
        executor=start.executor,
        status="succeeded",
        finished_at=ended.recorded_at,
        duration_s=end.duration_s,
        log=log,
        log_sha256=log_blob,
        result_version=ended.version,
        queued_s=end.queued_s,
    )
    writer.count(ended.job_id, 0)


def step_skipped(writer: Writer, recorded: Recorded, event: StepSkipped) -> None:
    """Record that the step was skipped, and why."""
    because = f"{event.reason}: {', '.join(event.because)}" if event.because else event.reason
    writer.add(
        "step_skipped",
        step_id=f"{recorded.job_id}/{event.step}",
        skip_reason=because,
        finished_at=recorded.recorded_at,
    )
    writer.count(recorded.job_id, 2)


def step_switched(writer: Writer, recorded: Recorded, event: StepSwitched) -> None:
    """Record the target that the step calls now."""
    step_key = f"{recorded.job_id}/{event.step}"
    writer.add("step_switched", step_id=step_key, provider=event.provider, model=event.model)


def step_configured(writer: Writer, recorded: Recorded, event: StepConfigured) -> None:
    """Record the target that the step's templates name."""
    if "model" in event.settings:
        target = {key: event.settings.get(key) for key in ("provider", "model")}
        writer.add("step_switched", step_id=f"{recorded.job_id}/{event.step}", **target)

"""The projector's handlers for steps that hold others, and for questions to persons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orc.ledger.events import (
    ApprovalDecided,
    ApprovalRequested,
    BudgetExceeded,
    JobWaiting,
    Recorded,
    StepExpanded,
)
from orc.projections.tables.writer import Writer


def shape_of(step: Mapping[str, Any]) -> str:
    """What a step of a recorded spec is: how it holds others, else its kind."""
    return next((shape for shape in ("for_each", "loop") if step.get(shape)), str(step["kind"]))


def expanded(writer: Writer, recorded: Recorded, event: StepExpanded) -> None:
    """Steps came into being inside another one."""
    job_id = recorded.job_id
    for number, child in enumerate(event.children):
        shape = event.shapes[number if len(event.shapes) > 1 else 0]
        writer.add(
            "child",
            f"{job_id}/{child}",
            child,
            job_id,
            job_id,
            shape.kind,
            ", ".join(shape.needs),
            shape.provider,
            shape.model,
            event.step,
        )
    writer.add("expanded", event.total, f"{job_id}/{event.step}")
    writer.add("more_steps", len(event.children), job_id)


def asked(writer: Writer, recorded: Recorded, event: ApprovalRequested) -> None:
    """A person is asked."""
    writer.add("asked", event.message, f"{recorded.job_id}/{event.step}")


def decided(writer: Writer, recorded: Recorded, event: ApprovalDecided) -> None:
    """Someone has decided, or nobody in time."""
    writer.add("decided", event.option, event.by, f"{recorded.job_id}/{event.step}")


def job_waiting(writer: Writer, recorded: Recorded, event: JobWaiting) -> None:
    """The job waits for a person."""
    writer.add("job_waiting", recorded.job_id)


def short(writer: Writer, recorded: Recorded, event: BudgetExceeded) -> None:
    """A step waits for a budget."""
    step_key = f"{recorded.job_id}/{event.step}"
    needed = f"waits for the budget: {event.limit} is {event.maximum:g}, "
    needed += f"{event.spent:g} is spent, and it needs {event.needed:g}"
    writer.add("step_short", needed, step_key)
    writer.add(
        "attempt_ended",
        "interrupted",
        recorded.recorded_at,
        event.duration_s,
        "budget",
        needed,
        None,
        None,
        None,
        None,
        None,
        f"{step_key}/{event.attempt}",
    )

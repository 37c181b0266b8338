"""A statement of `orc why`, and words that several of them use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from orc.ledger.definition import StepDef
from orc.ledger.events import BudgetExceeded, JobInterrupted, StepExpanded, StepSwitched
from orc.ledger.kinds import OPEN, REMOVED, facts_of
from orc.ledger.wording import count_text, limit_text
from orc.projections.tables.job_view import JobView
from orc.projections.tables.rows import StepRow

Kind = Literal[
    "started", "waited", "cached", "reused", "not_cached", "retried", "failed", "succeeded", "skipped",
    "switched", "interrupted", "stopped", "resumed", "reopened", "kept", "reset", "removed",
    "cancelled", "expanded", "asked", "decided", "budget", "left_out", "waits",
]  # fmt: skip

ENDED = {
    "step.succeeded": "had succeeded",
    "step.failed": "had failed",
    "step.skipped": "had been skipped",
    "step.reused": "had its result from elsewhere",
}
"""Ends of steps, in words."""

CUT = {
    "signal": "the process that ran the job was told to stop",
    "cancel": "the job was cancelled",
    "crash": "the process that ran the job died",
}
"""What cuts an attempt short, in words."""

_VALUE_CHARS = 80
_REFERENCE = re.compile(r"steps(?:\.|\[['\"])([A-Za-z_][A-Za-z0-9_-]*)")


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that events say of a step: its kind, words for people, the events' versions.

    `at` is the time of the first, UTC text; `facts` are values for programs.
    """

    kind: Kind
    text: str
    events: tuple[int, ...]
    at: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def referred(view: JobView, condition: str) -> str:
    """What the steps that a condition names gave, in brackets; empty where it names none."""
    found = []
    for name in dict.fromkeys(_REFERENCE.findall(condition)):
        row = view.by_name.get(name)
        if row is not None:
            output = f", output {(row.output or '')[:_VALUE_CHARS]}" if row.output else ""
            found.append(f"{name} {row.status}{output}")
    return f" ({'; '.join(found)})" if found else ""


def budget_text(event: BudgetExceeded) -> str:
    """Which limit a step had to wait for."""
    whose = f"of {event.account}" if event.account else "of the job"
    return (
        f"it had to wait for the budget {whose}: {event.limit} is "
        f"{limit_text(event.limit, event.maximum)}; spent: "
        f"{limit_text(event.limit, event.spent)}; it needed {limit_text(event.limit, event.needed)}"
    )


def stopped_text(event: JobInterrupted) -> str:
    """How a job was stopped."""
    by = f" by {event.signal}" if event.signal else ", since what was asked for had ended"
    return f"the job was stopped{by}"


def had(status: str) -> str:
    """What a step of that status had done before it was opened again."""
    if status in OPEN:
        return "not ended"
    if status == "tolerated":
        return "failed"
    return f"been {status}" if status in ("skipped", "cancelled", REMOVED) else status


def expanded_text(definition: StepDef | None, row: StepRow, event: StepExpanded) -> str:
    """What came into being inside a step."""
    what = facts_of(row.kind).holds or "item"
    if what != "round":
        return f"it holds {count_text(event.total, what)}"
    loop = None if definition is None else definition.loop
    until = None if loop is None else loop.until
    if event.total == 1 or until is None:
        return f"round {event.total} came into being"
    return f"round {event.total} came into being, since this did not hold: {until}"


def switched_text(event: StepSwitched) -> str:
    """Which model is asked from now on, and why."""
    targets = f"{event.to_target} in place of {event.from_target}"
    return f"from now on it asks {targets}: {event.message}"

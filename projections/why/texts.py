"""A statement of `orc why`, and the phrases that several statements use."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

from orc.ledger.definition import StepDef
from orc.ledger.events import (
    BudgetExceeded,
    JobInterrupted,
    JobWaiting,
    StepConfigured,
    StepExpanded,
    StepPlaced,
    StepReattached,
    StepReused,
    StepSucceeded,
    StepSwitched,
    StepUnplaced,
)
from orc.ledger.kinds import OPEN, REMOVED, facts_of
from orc.ledger.wording import count_text, limit_text
from orc.projections.tables.job_view import JobView
from orc.projections.tables.rows import StepRow
from orc.projections.tables.status import left_queue_text

Kind = Literal[
    "started", "waited", "cached", "reused", "not_cached", "retried", "failed", "succeeded", "skipped",
    "switched", "interrupted", "stopped", "resumed", "reopened", "kept", "reset", "removed",
    "cancelled", "expanded", "asked", "decided", "budget", "left_out", "waits", "placed",
    "repaired", "tolerated", "configured",
]  # fmt: skip

ENDED = {
    "step.succeeded": "succeeded",
    "step.failed": "failed",
    "step.skipped": "was skipped",
    "step.reused": "got its result from a cache or a fork",
}
"""How a step ended, by the type of the event."""

INTERRUPTED_BY = {
    "signal": "a stop signal ended the process that ran the job",
    "cancel": "the job was cancelled",
    "crash": "the process that ran the job crashed",
    "worker": "the worker that ran it was lost",
    "server": "its server was not ready, and the step waited for it",
    "batch": "the server does not have the batch with its call, which it may have had",
}
"""Why an attempt was interrupted, by the reason in the event."""

_VALUE_CHARS = 80
_REFERENCE = re.compile(r"steps(?:\.|\[['\"])([A-Za-z_][A-Za-z0-9_-]*)")


class Statement(Struct, frozen=True):
    """One statement about a step: its kind, its text, and the versions of the events that prove it.

    `at` is the time of the first event, as UTC text; `facts` are values for programs.
    """

    kind: Kind
    text: str
    events: tuple[int, ...]
    at: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def quoted(before: str, text: str, after: str = "") -> str:
    """`before: text after`; a text of several lines comes last, below the words about it."""
    text = text.rstrip()
    return f"{before}{after}:\n{text}" if "\n" in text else f"{before}: {text}{after}"


def referenced_text(view: JobView, condition: str) -> str:
    """The status and output of each step that a condition names, in brackets; empty for no step."""
    found = []
    for name in dict.fromkeys(_REFERENCE.findall(condition)):
        row = view.by_name.get(name)
        if row is not None:
            output = f", output {(row.output or '')[:_VALUE_CHARS]}" if row.output else ""
            found.append(f"{name} {row.status}{output}")
    return f" ({'; '.join(found)})" if found else ""


def budget_text(event: BudgetExceeded) -> str:
    """Which limit stopped a step, and its numbers."""
    whose = f"of {event.account}" if event.account else "of the job"
    return (
        f"the budget {whose} was too small: {event.limit} is "
        f"{limit_text(event.limit, event.maximum)}; spent so far: "
        f"{limit_text(event.limit, event.spent)}; needed by the step: "
        f"{limit_text(event.limit, event.needed)}"
    )


def stopped_text(event: JobInterrupted) -> str:
    """Why a job was stopped."""
    if event.queue == "left":
        return left_queue_text(event.crashes)
    back = "; the job went back to the queue" if event.queue == "back" else ""
    if event.signal:
        return f"the job was stopped by {event.signal}{back}"
    if event.queue == "back":
        return f"the time of its worker was over{back}"
    return "the job stopped after the steps of this run had ended"


def waiting_text(event: JobWaiting) -> str:
    """Why a job was left that has not ended."""
    if event.reason == "batch":
        return "the job was left while a server works on the batch with the step's call"
    return f"the job stopped and waits for a person to act: {event.reason}"


def past_status(status: str) -> str:
    """The status of a step before it was reopened: `had failed`, `had been skipped`."""
    if status in OPEN:
        return "had not ended"
    if status == "tolerated":
        return "had failed"
    return f"had been {status}" if status in ("skipped", "cancelled", REMOVED) else f"had {status}"


def expanded_text(definition: StepDef | None, row: StepRow, event: StepExpanded) -> str:
    """Which items, members or round a container step created."""
    what = facts_of(row.kind).holds or "item"
    if what != "round":
        return f"it created {count_text(event.total, what)}"
    loop = None if definition is None else definition.loop
    until = None if loop is None else loop.until
    if event.total == 1 or until is None:
        return f"it created round {event.total}"
    return f"it created round {event.total}, because the condition of `until` was false: {until}"


def configured_text(event: StepConfigured) -> str:
    """The settings of a step that were rendered when it became ready, with their values."""
    shown = []
    for name, value in event.settings.items():
        if value in (None, {}, []):
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        cut = text[:_VALUE_CHARS] + ("..." if len(text) > _VALUE_CHARS else "")
        shown.append(f"{name}: {cut}")
    return f"its settings were rendered: {', '.join(shown) or 'none has a value'}"


def switched_text(event: StepSwitched) -> str:
    """Which model replaces which, and why."""
    return f"it switched from {event.from_target} to {event.to_target}: {event.message}"


def placing_text(event: StepPlaced | StepUnplaced | StepReattached) -> str:
    """Where an attempt went, or that it was queued again or found again."""
    if isinstance(event, StepPlaced):
        return f"attempt {event.attempt} was placed on {event.host} ({event.executor})"
    if isinstance(event, StepUnplaced):
        return f"it was queued again: {event.reason}"
    return "it was found where it had been placed"


def warning_text(event: StepSucceeded | StepReused) -> str:
    """The warning of a result, after what is said of it."""
    return f"; {event.warning}" if event.warning else ""

"""What delayed the start of a step, as far as the events record it."""

from __future__ import annotations

from msgspec import Struct

from orc.ledger.definition import JobDef
from orc.ledger.events import (
    CircuitClosed,
    CircuitOpened,
    JobResumed,
    JobStarted,
    Recorded,
    StepExpanded,
)
from orc.ledger.kinds import facts_of
from orc.ledger.reader import LedgerReader
from orc.ledger.stored import parse_time
from orc.ledger.wording import count_text
from orc.projections.history.trace import Trace, TracedEvent
from orc.projections.tables.job_view import JobView
from orc.projections.tables.rows import StepRow

REPORTED_WAIT_S = 0.1
"""Shorter waits are scheduling overhead and not reported."""


class Wait(Struct, frozen=True):
    """A delay of a start: its reason in one word and as text, its events, and its seconds."""

    reason: str
    text: str
    events: tuple[int, ...]
    waited_s: float


def find_wait(
    view: JobView,
    trace: Trace,
    job_events: list[Recorded],
    job: JobDef | None,
    step: StepRow,
    *,
    ready: TracedEvent,
    start: TracedEvent,
) -> Wait | None:
    """The delay between `ready`, when the step could start, and its start; None if there was none."""
    waited_s = between_s(ready.at, start.at)
    if waited_s < REPORTED_WAIT_S:
        return None
    within = [found for found in job_events if ready.version < found.version < start.version]
    stopped = [found for found in within if found.event.type == "job.resumed"]
    if stopped:
        resumed = stopped[-1].version
        text = "the job was stopped until it was resumed"
        return Wait("stopped", text, (resumed,), waited_s)
    circuit = _circuit(job_events, step, ready, start)
    if circuit is not None:
        return _wait_for_circuit(circuit, waited_s)
    return _wait_for_slot(view, trace, job, step, start, waited_s) or Wait(
        "unknown", _unknown(job, step), (), waited_s
    )


def find_job_start(job_events: list[Recorded], version: int) -> TracedEvent | None:
    """The last start or resume of the job before an event."""
    found: TracedEvent | None = None
    for recorded in job_events:
        event = recorded.event
        if recorded.version < version and isinstance(event, JobStarted | JobResumed):
            found = mark_of(recorded)
    return found


def mark_of(recorded: Recorded) -> TracedEvent:
    """An event of the whole job in the form of the trace."""
    return TracedEvent(recorded.version, recorded.event.type, "", recorded.recorded_at, None, True)


def find_creation(
    reader: LedgerReader, trace: Trace, step: StepRow, version: int
) -> TracedEvent | None:
    """The last event before `version` by which the parent created the step."""
    for mark in reversed(trace.of_step(step.parent or "")):
        if mark.type == "step.expanded" and mark.version < version:
            event = reader.read_event(step.job_id, mark.version).event
            if isinstance(event, StepExpanded) and step.name in event.children:
                return mark
    return None


def between_s(first: str, second: str) -> float:
    """Seconds from one recorded time to another; at least 0."""
    gap = parse_time(second) - parse_time(first)
    return max(0.0, gap.total_seconds())


def _circuit(
    job_events: list[Recorded], step: StepRow, ready: TracedEvent, start: TracedEvent
) -> Recorded | None:
    """The event that opened the circuit of the step's model, if it was open before the start."""
    target = f"{step.provider}/{step.model}"
    found: Recorded | None = None
    for recorded in job_events:
        event = recorded.event
        if recorded.version >= start.version:
            break
        if isinstance(event, CircuitOpened) and event.target.startswith(target):
            found = recorded
        elif isinstance(event, CircuitClosed) and event.target.startswith(target):
            found = None if recorded.version < ready.version else found
    return found


def _wait_for_circuit(recorded: Recorded, waited_s: float) -> Wait:
    event = recorded.event
    assert isinstance(event, CircuitOpened)
    if event.waits_since is not None:
        text = f"the server of {event.target} was not ready (wait_for_server)"
        return Wait("server", text, (recorded.version,), waited_s)
    text = (
        f"the circuit of {event.target} was open after {count_text(event.failures, 'failed call')} "
        f"in a row, the last one with {event.kind}"
    )
    return Wait("circuit", text, (recorded.version,), waited_s)


def _wait_for_slot(
    view: JobView,
    trace: Trace,
    job: JobDef | None,
    step: StepRow,
    start: TracedEvent,
    waited_s: float,
) -> Wait | None:
    freed = trace.freed_before(start.version)
    running = trace.running_at(start.version, but=step.name)
    busy = len(running) + (1 if freed is not None else 0)
    limits = {} if job is None else job.concurrency
    ended = () if freed is None else (freed.version,)
    became_free = (
        "" if freed is None else f"; a slot became free when an attempt of {freed.step} ended"
    )
    own = limits.get(step.provider or "")
    if own is not None:
        provider_of = {row.name: row.provider for row in view.steps}
        names = [mark.step for mark in running] + ([freed.step] if freed else [])
        if sum(provider_of.get(name) == step.provider for name in names) >= own:
            text = f"all slots of {step.provider} were in use (concurrency: {own}){became_free}"
            return Wait("slot", text, ended, waited_s)
    total = limits.get("total")
    if total is not None and busy >= total:
        text = f"all slots were in use (concurrency: {total}){became_free}"
        return Wait("slot", text, ended, waited_s)
    if step.parent is not None and freed is not None and freed.step != step.name:
        siblings = {row.name for row in view.children_of.get(step.parent, ())}
        if freed.step in siblings:
            text = f"{step.parent} limits its parallel steps (max_parallel){became_free}"
            return Wait("max_parallel", text, ended, waited_s)
    return None


def _unknown(job: JobDef | None, step: StepRow) -> str:
    calls_model = facts_of(step.kind).calls_model
    if calls_model and job is not None and step.provider in job.rate:
        return f"no event records why; the spec limits the request rate of {step.provider}"
    return "no event records why"

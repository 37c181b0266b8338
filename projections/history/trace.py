"""Reads the starts and ends of all steps of a job in one query, without payloads.

`orc why` uses it to find out which other steps ran, ended or held a slot when a step started.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from orc.ledger.events import Recorded
from orc.ledger.kinds import facts_of
from orc.ledger.reader import LedgerReader

ENDS = ("step.succeeded", "step.failed", "step.skipped", "step.reused")
"""Types of events that end a step; `step.failed` ends it only without a retry."""

_SLOT_ENDS = (*ENDS, "step.interrupted", "budget.exceeded")
_NAMED = (*_SLOT_ENDS, "step.started", "step.expanded")


@dataclass(frozen=True, slots=True)
class TracedEvent:
    """The version, type, step and time of an event; `kind` is the step's kind in `step.started`,
    `executor` that of an attempt that is not on the machine of the job.

    `is_final` is false for a failure with a retry.
    """

    version: int
    type: str
    step: str
    at: str
    kind: str | None
    is_final: bool
    executor: str | None = None

    @property
    def takes_slot(self) -> bool:
        """Whether it is the start of an attempt that takes a slot of the machine of the job."""
        is_start = self.type == "step.started" and self.executor is None
        return is_start and facts_of(self.kind).holds_slot


@dataclass(slots=True)
class Trace:
    """The traced events of a job, in order and by step."""

    events: list[TracedEvent] = field(default_factory=list)
    of_step: dict[str, list[TracedEvent]] = field(default_factory=dict)

    def end_of(self, step: str, *, before: int | None = None) -> TracedEvent | None:
        """The last event that ended the step, before the version `before` if that is given."""
        for event in reversed(self.of_step.get(step, ())):
            is_before = before is None or event.version < before
            if is_before and event.type in ENDS and event.is_final:
                return event
        return None

    def running_at(self, version: int, *, but: str) -> list[TracedEvent]:
        """The starts of attempts that held a slot just before a version, except those of step `but`."""
        found: dict[str, TracedEvent] = {}
        for event in self.events:
            if event.version >= version:
                break
            if event.takes_slot:
                found[event.step] = event
            elif event.type in _SLOT_ENDS:
                found.pop(event.step, None)
        found.pop(but, None)
        return list(found.values())

    def freed_before(self, version: int) -> TracedEvent | None:
        """The event that freed a slot just before a version; None if other events came between."""
        for event in reversed(self.events):
            if event.version < version:
                if event.type in _SLOT_ENDS:
                    return event
                if event.type != "step.started":
                    return None
        return None


def read_trace(reader: LedgerReader, job_id: str) -> Trace:
    """The traced events of a job's steps."""
    types = ", ".join("?" * len(_NAMED))
    rows = reader.connection.execute(
        "SELECT version, type, step, recorded_at, json_extract(data, '$.kind'), "
        "json_extract(data, '$.retry_at') IS NULL, json_extract(data, '$.executor') FROM events "
        f"WHERE job_id = ? AND type IN ({types}) ORDER BY version",
        (job_id, *_NAMED),
    )
    trace = Trace()
    for version, type_, step, at, kind, is_final, executor in rows:
        event = TracedEvent(version, type_, step, at, kind, bool(is_final), executor)
        trace.events.append(event)
        trace.of_step.setdefault(step, []).append(event)
    return trace


def read_story(reader: LedgerReader, job_id: str, step: str) -> Iterator[Recorded]:
    """The events of a step together with the events of the job itself, in order."""
    rows = reader.connection.execute(
        "SELECT version FROM events WHERE job_id = ? AND (step = ? OR step IS NULL) "
        "ORDER BY version",
        (job_id, step),
    ).fetchall()
    for (version,) in rows:
        yield reader.read_event(job_id, version)

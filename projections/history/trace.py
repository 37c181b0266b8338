"""The skeleton of a job's stream: which step did what when, without the texts and the bytes.

One pass over the job, so that questions about a step can look at all the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from orc.ledger.events import Recorded
from orc.ledger.kinds import facts_of
from orc.ledger.reader import LedgerReader

ENDS = ("step.succeeded", "step.failed", "step.skipped", "step.reused")
"""Events after which a step does not go on by itself; `step.failed` only without a retry."""

_SLOT_ENDS = (*ENDS, "step.interrupted", "budget.exceeded")
_NAMED = (*_SLOT_ENDS, "step.started", "step.expanded")


@dataclass(frozen=True, slots=True)
class TracedEvent:
    """One event: its version, its type, its step, its time; `kind` is a start's.

    `is_final` is false for a failure that is tried again.
    """

    version: int
    type: str
    step: str
    at: str
    kind: str | None
    is_final: bool


@dataclass(slots=True)
class Trace:
    """The marks of a job in order, and by step."""

    marks: list[TracedEvent] = field(default_factory=list)
    of_step: dict[str, list[TracedEvent]] = field(default_factory=dict)

    def end_of(self, step: str, *, before: int | None = None) -> TracedEvent | None:
        """The last event that ended the step, before another one."""
        for mark in reversed(self.of_step.get(step, ())):
            is_before = before is None or mark.version < before
            if is_before and mark.type in ENDS and mark.is_final:
                return mark
        return None

    def running_at(self, version: int, *, but: str) -> list[TracedEvent]:
        """The starts of the attempts that hold a slot before an event, those of one step left out."""
        found: dict[str, TracedEvent] = {}
        for mark in self.marks:
            if mark.version >= version:
                break
            if mark.type == "step.started" and facts_of(mark.kind).holds_slot:
                found[mark.step] = mark
            elif mark.type in _SLOT_ENDS:
                found.pop(mark.step, None)
        found.pop(but, None)
        return list(found.values())

    def freed_before(self, version: int) -> TracedEvent | None:
        """The end of an attempt right before an event."""
        for mark in reversed(self.marks):
            if mark.version < version:
                if mark.type in _SLOT_ENDS:
                    return mark
                if mark.type != "step.started":
                    return None
        return None


def read_trace(reader: LedgerReader, job_id: str) -> Trace:
    """The marks of a job's steps."""
    types = ", ".join("?" * len(_NAMED))
    rows = reader.connection.execute(
        "SELECT version, type, step, recorded_at, json_extract(data, '$.kind'), "
        "json_extract(data, '$.retry_at') IS NULL FROM events "
        f"WHERE job_id = ? AND type IN ({types}) ORDER BY version",
        (job_id, *_NAMED),
    )
    trace = Trace()
    for version, type_, step, at, kind, is_final in rows:
        mark = TracedEvent(version, type_, step, at, kind, bool(is_final))
        trace.marks.append(mark)
        trace.of_step.setdefault(step, []).append(mark)
    return trace


def read_story(reader: LedgerReader, job_id: str, step: str) -> Iterator[Recorded]:
    """The events of a step and those of the whole job, in order."""
    rows = reader.connection.execute(
        "SELECT version FROM events WHERE job_id = ? AND (step = ? OR step IS NULL) "
        "ORDER BY version",
        (job_id, step),
    ).fetchall()
    for (version,) in rows:
        yield reader.read_event(job_id, version)

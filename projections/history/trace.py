"""Reads the starts and ends of the steps of a job, without payloads.

`orc why` uses it to find out which other steps ran, ended or held a slot when a step started.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Literal

from msgspec import Struct

from orc.ledger.events import Recorded
from orc.ledger.kinds import facts_of
from orc.ledger.reader import LedgerReader

ENDS = ("step.succeeded", "step.failed", "step.skipped", "step.reused")
"""Types of events that end a step; `step.failed` ends it only without a retry."""

_SLOT_ENDS = (*ENDS, "step.interrupted", "budget.exceeded")
_NAMED = (*_SLOT_ENDS, "step.started", "step.expanded")
_STEPS_READ_ALONE = 3


class TracedEvent(Struct, frozen=True):
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


class Trace:
    """The traced events of a job, read when they are asked for.

    Those of a few steps are read by themselves, which takes much less time than to read all.
    """

    def __init__(self, reader: LedgerReader, job_id: str) -> None:
        self._reader = reader
        self._job_id = job_id
        self._by_step: dict[str, list[TracedEvent]] = {}

    def of_step(self, step: str) -> list[TracedEvent]:
        """The events of one step, in order."""
        if step not in self._by_step and len(self._by_step) >= _STEPS_READ_ALONE:
            return self._all_by_step.get(step, [])
        if step not in self._by_step:
            self._by_step[step] = list(_read(self._reader, self._job_id, step=step))
        return self._by_step[step]

    @cached_property
    def _all_by_step(self) -> dict[str, list[TracedEvent]]:
        found: dict[str, list[TracedEvent]] = {}
        for event in _read(self._reader, self._job_id):
            found.setdefault(event.step, []).append(event)
        return found

    def end_of(self, step: str, *, before: int | None = None) -> TracedEvent | None:
        """The last event that ended the step, before the version `before` if that is given."""
        for event in reversed(self.of_step(step)):
            is_before = before is None or event.version < before
            if is_before and event.type in ENDS and event.is_final:
                return event
        return None

    def running_at(self, version: int, *, but: str) -> list[TracedEvent]:
        """The starts of attempts that held a slot just before a version, except those of step `but`."""
        found: dict[str, TracedEvent] = {}
        for event in _read(self._reader, self._job_id, before=version):
            if event.takes_slot:
                found[event.step] = event
            elif event.type in _SLOT_ENDS:
                found.pop(event.step, None)
        found.pop(but, None)
        return list(found.values())

    def freed_before(self, version: int) -> TracedEvent | None:
        """The event that freed a slot just before a version; None if other events came between."""
        events = _read(self._reader, self._job_id, before=version, order="DESC")
        for event in events:
            if event.type in _SLOT_ENDS:
                return event
            if event.type != "step.started":
                return None
        return None


def _read(
    reader: LedgerReader,
    job_id: str,
    *,
    step: str | None = None,
    before: int | None = None,
    order: Literal["ASC", "DESC"] = "ASC",
) -> Iterator[TracedEvent]:
    """The events of a step or of all, before a version or all, read while they are asked for."""
    types = ", ".join("?" * len(_NAMED))
    conditions, values = [f"job_id = ? AND type IN ({types})"], [job_id, *_NAMED]
    if step is not None:
        conditions.append("step = ?")
        values.append(step)
    if before is not None:
        conditions.append(f"version < {before:d}")
    rows = reader.connection.execute(
        "SELECT version, type, step, recorded_at, json_extract(data, '$.kind'), "
        "json_extract(data, '$.retry_at') IS NULL, json_extract(data, '$.executor') FROM events "
        f"WHERE {' AND '.join(conditions)} ORDER BY version {order}",
        values,
    )
    for version, type_, name, at, kind, is_final, executor in rows:
        yield TracedEvent(version, type_, name, at, kind, bool(is_final), executor)


def read_story(reader: LedgerReader, job_id: str, step: str) -> Iterator[Recorded]:
    """The events of a step together with the events of the job itself, in order."""
    rows = reader.connection.execute(
        "SELECT version FROM events WHERE job_id = ? AND (step = ? OR step IS NULL) "
        "ORDER BY version",
        (job_id, step),
    ).fetchall()
    for (version,) in rows:
        yield reader.read_event(job_id, version)

"""The chain of causes from a skipped or failed step to the step that failed first."""

from __future__ import annotations

from msgspec import Struct

from orc.ledger.events import StepFailed, StepSkipped
from orc.ledger.reader import LedgerReader
from orc.ledger.wording import count_text
from orc.projections.history.trace import Trace, TracedEvent
from orc.projections.tables.job_view import JobView
from orc.projections.tables.step_notes import JOB_TIMED_OUT
from orc.projections.why.texts import quoted

CAUSES_MAX = 100_000
_SHOWN = 3


class Cause(Struct, frozen=True):
    """One step of the chain, with the event that records how it ended.

    `status` is `was skipped` or `failed`. `text` is the failure's kind and message, or the
    condition; it is empty if the next cause in the chain is the reason.
    """

    step: str
    status: str
    text: str
    event: int


def read_causes(
    reader: LedgerReader, view: JobView, trace: Trace, step: str, *, before: int | None = None
) -> tuple[Cause, ...]:
    """The causes of the step's last skip or failure, the step itself first.

    Empty if the step was neither skipped nor failed. `before` limits the search to events
    before that version.
    """
    causes: list[Cause] = []
    seen: set[str] = set()
    name: str | None = step
    version = before
    while name is not None and name not in seen and len(causes) < CAUSES_MAX:
        seen.add(name)
        mark = trace.end_of(name, before=version)
        if mark is None or mark.type not in ("step.skipped", "step.failed"):
            break
        cause, name = _cause(reader, view, trace, mark)
        causes.append(cause)
        # A container ends right after the step inside it that failed.
        version = mark.version + 1
    return tuple(causes)


def chain_text(causes: tuple[Cause, ...]) -> str:
    """`b was skipped, because a failed: exit_code: it broke`; the middle of a long chain is counted."""
    parts = [f"{one.step} {one.status}" + f": {one.text}" * bool(one.text) for one in causes]
    if len(parts) > 2 * _SHOWN:
        hidden = count_text(len(parts) - _SHOWN - 1, "more step")
        parts = [*parts[:_SHOWN], f"of {hidden} in between", parts[-1]]
    return ", because ".join(parts)


def chain_events(causes: tuple[Cause, ...]) -> list[int]:
    """The events of the causes that `chain_text` names."""
    shown = causes if len(causes) <= 2 * _SHOWN else (*causes[:_SHOWN], causes[-1])
    return [cause.event for cause in shown]


def _cause(
    reader: LedgerReader, view: JobView, trace: Trace, mark: TracedEvent
) -> tuple[Cause, str | None]:
    """The cause that an end event records, and the step that is the next cause."""
    event = reader.read_event(view.job.job_id, mark.version).event
    if isinstance(event, StepSkipped):
        if event.reason == "condition":
            text = f"its condition was false: {event.condition or 'unknown'}"
            return Cause(event.step, "was skipped", text, mark.version), None
        if event.reason == "job_timeout":
            return Cause(event.step, "was skipped", JOB_TIMED_OUT, mark.version), None
        return Cause(event.step, "was skipped", "", mark.version), next(iter(event.because), None)
    assert isinstance(event, StepFailed), event.type
    inside = _failed_inside(view, trace, mark)
    # A container's message repeats the failure inside it, which is the next cause.
    text = "" if inside is not None else quoted(event.kind, event.message)
    return Cause(event.step, "failed", text, mark.version), inside


def _failed_inside(view: JobView, trace: Trace, mark: TracedEvent) -> str | None:
    """The step inside a container that failed first."""
    ends = [
        trace.end_of(child.name, before=mark.version)
        for child in view.children_of.get(mark.step, ())
    ]
    failed = [end for end in ends if end is not None and end.type == "step.failed"]
    return min(failed, key=lambda end: end.version).step if failed else None

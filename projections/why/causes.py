"""Why a step was skipped or failed, followed to the steps that began it."""

from __future__ import annotations

from dataclasses import dataclass

from orc.ledger.events import StepFailed, StepSkipped
from orc.ledger.reader import LedgerReader
from orc.ledger.wording import count_text
from orc.projections.history.trace import Trace, TracedEvent
from orc.projections.tables.job_view import JobView

LINKS_MAX = 100_000
_TOLD = 3


@dataclass(frozen=True, slots=True)
class Link:
    """A step of the chain: that it was skipped, or failed, or timed out, and why, at an event.

    `text` is what the event says: a failure's kind and message, a condition; empty where
    the next link is the reason.
    """

    step: str
    status: str
    text: str
    event: int


def read_causes(
    reader: LedgerReader, view: JobView, trace: Trace, step: str, *, before: int | None = None
) -> tuple[Link, ...]:
    """From the step's last end without success to the root of it; empty for another step."""
    links: list[Link] = []
    seen: set[str] = set()
    name: str | None = step
    version = before
    while name is not None and name not in seen and len(links) < LINKS_MAX:
        seen.add(name)
        mark = trace.end_of(name, before=version)
        if mark is None or mark.type not in ("step.skipped", "step.failed"):
            break
        link, name = _link(reader, view, trace, mark)
        links.append(link)
        # A step that holds others ended after them, in the same turn as what follows.
        version = mark.version + 1
    return tuple(links)


def chain_text(links: tuple[Link, ...]) -> str:
    """`b was skipped, because a failed: exit_code: it broke`; a long chain without its middle."""
    parts = [f"{link.step} {link.status}" + f": {link.text}" * bool(link.text) for link in links]
    if len(parts) > 2 * _TOLD:
        left = f"of {count_text(len(parts) - _TOLD - 1, 'more step')} between"
        parts = [*parts[:_TOLD], left, parts[-1]]
    return ", because ".join(parts)


def chain_events(links: tuple[Link, ...]) -> list[int]:
    """The events that `chain_text` tells of."""
    told = links if len(links) <= 2 * _TOLD else (*links[:_TOLD], links[-1])
    return [link.event for link in told]


def _link(
    reader: LedgerReader, view: JobView, trace: Trace, mark: TracedEvent
) -> tuple[Link, str | None]:
    """The link of an end, and the step that it leads on to."""
    event = reader.read_event(view.job.job_id, mark.version).event
    if isinstance(event, StepSkipped):
        if event.reason == "condition":
            text = f"its condition does not hold: {event.condition or 'unknown'}"
            return Link(event.step, "was skipped", text, mark.version), None
        if event.reason == "job_timeout":
            return Link(event.step, "was skipped", "the job's time was over", mark.version), None
        return Link(event.step, "was skipped", "", mark.version), next(iter(event.because), None)
    assert isinstance(event, StepFailed), event.type
    inside = _failed_inside(view, trace, mark)
    # Of what holds others the message repeats what follows.
    text = "" if inside is not None else f"{event.kind}: {event.message}"
    return Link(event.step, "failed", text, mark.version), inside


def _failed_inside(view: JobView, trace: Trace, mark: TracedEvent) -> str | None:
    """The first of the steps inside that failed before it."""
    ends = [
        trace.end_of(child.name, before=mark.version)
        for child in view.children_of.get(mark.step, ())
    ]
    failed = [end for end in ends if end is not None and end.type == "step.failed"]
    return min(failed, key=lambda end: end.version).step if failed else None

"""What all events share."""

from __future__ import annotations

from orc.ledger.values import Frozen


class Event(Frozen):
    """Base of all events."""


class JobEvent(Event):
    """An event of the job as a whole."""


class StepEvent(Event):
    """An event of one step; `attempt` is the try that it belongs to, from 1."""

    step: str
    attempt: int | None = None

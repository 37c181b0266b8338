"""What all events are."""

from __future__ import annotations

from orc.ledger.values import Frozen


class Event(Frozen):
    """Base of all events."""


class JobEvent(Event):
    """An event of the job as a whole."""


class StepEvent(Event):
    """An event of one step; `attempt` is the number of the attempt, from 1."""

    step: str
    attempt: int | None = None

"""What all events are."""

from __future__ import annotations

from orc.ledger.stored_struct import Stored


class Event(Stored, frozen=True, kw_only=True):
    """Base of all events."""


class JobEvent(Event, frozen=True, kw_only=True):
    """An event of the job as a whole."""


class StepEvent(Event, frozen=True, kw_only=True):
    """An event of one step; `attempt` is the number of the attempt, from 1."""

    step: str
    attempt: int | None = None

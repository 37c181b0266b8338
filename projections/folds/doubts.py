"""Calls in doubt: sent, with an unknown outcome; they may have been answered and charged.

The most that such a call may have cost is in `llm.requested`, by the prices of its time; no table of
prices is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orc.ledger.events import (
    AnyEvent,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    StepFailed,
    StepInterrupted,
)
from orc.ledger.wording import count_text, usd_text
from orc.projections.money.prices import USD_DIGITS


@dataclass(slots=True)
class Doubts:
    """A number of calls in doubt, and the most that they may have cost.

    `known_usd` is the sum over the calls whose highest cost is known; `calls_unpriced` counts the
    others.
    """

    calls: int = 0
    known_usd: float = 0.0
    calls_unpriced: int = 0

    def add(self, cost_usd: float | None) -> None:
        """Add a call; `cost_usd` is its highest cost, None if that is unknown."""
        self.calls += 1
        if cost_usd is None:
            self.calls_unpriced += 1
        else:
            self.known_usd = round(self.known_usd + cost_usd, USD_DIGITS)

    def value(self) -> dict[str, Any]:
        """As a JSON value; `cost_usd_max` is null if a part of it is unknown."""
        return {
            "calls": self.calls,
            "cost_usd_max": None if self.calls_unpriced else self.known_usd,
            "cost_known_usd_max": self.known_usd,
            "calls_unpriced": self.calls_unpriced,
        }

    def text(self) -> str:
        """One line for people. Call it only if there are calls in doubt."""
        return f"{count_text(self.calls, 'call')} in doubt: sent, never answered; {self._cost()}"

    def _cost(self) -> str:
        if not self.calls_unpriced:
            if not self.known_usd:
                return "free of charge"
            return f"may have cost up to {usd_text(self.known_usd)}"
        if self.calls_unpriced == self.calls:
            return "the cost is unknown"
        unpriced = count_text(self.calls_unpriced, "of them has", "of them have")
        return f"may have cost up to {usd_text(self.known_usd)}, and {unpriced} no known price"


class DoubtFinder:
    """Finds the calls in doubt of one job, given its events in order."""

    def __init__(self) -> None:
        self._open: dict[str, LlmRequested] = {}

    def take(self, event: AnyEvent) -> LlmRequested | None:
        """Apply the next event; returns the request that it leaves in doubt, or None."""
        match event:
            case LlmRequested():
                self._open[event.step] = event
            case LlmResponded():
                self._open.pop(event.step, None)
            case LlmFailed():
                request = self._open.pop(event.step, None)
                return request if event.is_in_doubt else None
            case StepFailed() | StepInterrupted():
                return self._open.pop(event.step, None)
            case _:
                pass
        return None


def worst_cost(request: LlmRequested) -> float | None:
    """The most that the call may have cost, in US dollars; None if that is unknown."""
    return None if request.worst_case is None else request.worst_case.cost_usd

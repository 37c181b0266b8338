"""Finds the calls in doubt in a job's events; `doubts.py` counts them and words them."""

from __future__ import annotations

from orc.ledger.events import (
    AnyEvent,
    LlmRequested,
)


class DoubtFinder:
    """Finds the calls in doubt of one job, given its events in order."""

    def __init__(self) -> None:
        self._open: dict[str, LlmRequested] = {}

    def take(self, event: AnyEvent) -> LlmRequested | None:
        """Apply the next event; returns the request that it leaves in doubt, or None."""
        match event.type:
            case "llm.requested":
                self._open[event.step] = event
            case "llm.responded":
                self._open.pop(event.step, None)
            case "llm.failed":
                request = self._open.pop(event.step, None)
                return request if event.is_in_doubt else None
            case "step.failed" | "step.interrupted":
                return self._open.pop(event.step, None)
            case _:
                pass
        return None


def worst_cost(request: LlmRequested) -> int | None:
    """The most that the call may have cost, in nano-dollars; None if that is unknown."""
    return None if request.worst_case is None else request.worst_case.cost_nano_usd

"""Calls in doubt: sent, with an unknown outcome; they may have been answered and charged.

The most that such a call may have cost is in `llm.requested`, by the prices of its time; no table of
prices is needed.
"""

from __future__ import annotations

from typing import Any

from orc.ledger.money import usd_number
from orc.ledger.wording import count_text, usd_text


class Doubts:
    """A number of calls in doubt, and the most that they may have cost.

    `known_nano_usd` is the sum over the calls whose highest cost is known, in nano-dollars;
    `calls_unpriced` counts the others.
    """

    def __init__(self, calls: int = 0, known_nano_usd: int = 0, calls_unpriced: int = 0) -> None:
        self.calls = calls
        self.known_nano_usd = known_nano_usd
        self.calls_unpriced = calls_unpriced

    def add(self, cost_nano_usd: int | None) -> None:
        """Add a call; `cost_nano_usd` is its highest cost, None if that is unknown."""
        self.calls += 1
        if cost_nano_usd is None:
            self.calls_unpriced += 1
        else:
            self.known_nano_usd += cost_nano_usd

    def value(self) -> dict[str, Any]:
        """As a JSON value in US dollars; `cost_usd_max` is null if a part of it is unknown."""
        known_usd = usd_number(self.known_nano_usd)
        return {
            "calls": self.calls,
            "cost_usd_max": None if self.calls_unpriced else known_usd,
            "cost_known_usd_max": known_usd,
            "calls_unpriced": self.calls_unpriced,
        }

    def text(self) -> str:
        """One line for people. Call it only if there are calls in doubt."""
        said = f"{count_text(self.calls, 'call')} in doubt: sent, without a full count of tokens"
        return f"{said}; {self._cost()}"

    def _cost(self) -> str:
        if not self.calls_unpriced:
            if not self.known_nano_usd:
                return "free of charge"
            return f"may have cost up to {usd_text(self.known_nano_usd)}"
        if self.calls_unpriced == self.calls:
            return "the cost is unknown"
        unpriced = count_text(self.calls_unpriced, "of them has", "of them have")
        return f"may have cost up to {usd_text(self.known_nano_usd)}, and {unpriced} no known price"

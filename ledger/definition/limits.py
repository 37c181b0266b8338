"""Limits of a definition: retries, rates, circuits, budgets, and what an attempt may leave."""

from __future__ import annotations

from typing import Literal

from orc.ledger.money import limit_nano_usd
from orc.ledger.stored_struct import Stored
from orc.ledger.values import Limits

Backoff = Literal["exponential", "linear", "fixed"]
"""How the wait grows from one attempt to the next; `scheduler/retry.py` computes it."""


class RetryDef(Stored, frozen=True, kw_only=True):
    """When a failed attempt is repeated.

    `max_attempts` includes the first attempt. Delays are in seconds. `jitter` is the random
    fraction of each delay, from 0 to 1.
    """

    max_attempts: int = 1
    backoff: Backoff = "exponential"
    initial_s: float = 1.0
    max_s: float = 60.0
    jitter: float = 0.1


class RateDef(Stored, frozen=True, kw_only=True):
    """The rate limits of a provider, per minute."""

    requests_per_min: float | None = None
    tokens_per_min: float | None = None


class CircuitDef(Stored, frozen=True, kw_only=True):
    """A target's circuit breaker: it opens after `threshold` failures in a row (0 disables it).

    `cooldown_s` is the time until one step may try again.
    """

    threshold: int = 5
    cooldown_s: float = 60.0


class BudgetDef(Stored, frozen=True, kw_only=True):
    """Limits on spending: US dollars, tokens (input plus output) and calls.

    `on_exceeded` says what happens when a call would exceed a limit.
    """

    max_cost_usd: float | None = None
    max_tokens: int | None = None
    max_calls: int | None = None
    on_exceeded: Literal["pause", "fail"] = "pause"

    def limits(self) -> Limits:
        """The limits as whole amounts."""
        usd = self.max_cost_usd
        most = None if usd is None else limit_nano_usd(usd)
        return Limits(self.max_calls, self.max_tokens, most, self.on_exceeded)


class LimitsDef(Stored, frozen=True, kw_only=True):
    """Limits on what an attempt may leave, in bytes: one file, its output, its log.

    `output_bytes` limits the stdout of a command, or the value of a function as JSON; None stands
    for the default of the kind. The rest of a longer log is cut.
    """

    file_bytes: int = 16 * 1024**3
    output_bytes: int | None = None
    log_bytes: int = 64 * 1024**2


DEFAULT_LIMITS = LimitsDef()

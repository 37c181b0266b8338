"""The price of a model, and what a call costs by it.

Costs are whole nano-dollars: each call is rounded up to one, and sums are exact.
"""

from __future__ import annotations

import datetime as dt
from math import ceil

from msgspec import Struct
from msgspec.structs import asdict

from orc.ledger.money import NANO_PER_USD, exact
from orc.ledger.servers.server_def import PriceDef
from orc.ledger.values import TokenUsage

CALL_NANO_USD_MAX = 1_000_000 * NANO_PER_USD
"""The highest cost of a call that is believed; above it, the count of tokens or the price is wrong."""

BATCH_PART = 0.5
"""The part of the price that a call in a batch costs, where no other price is known."""
_NANO_USD_PER_RATE = NANO_PER_USD // 1_000_000
"""Nano-dollars for a token at one US dollar per million tokens."""


class Price(Struct, frozen=True, kw_only=True):
    """The price of a model, in US dollars per million tokens.

    `cached_input` is the price of input that the provider had in its own cache, and `cache_write` that
    of input that it put there for some minutes; None means the price of other input. The price holds
    for calls of at most `input_tokens_max` tokens of input, and `longer` for those with more. `batch`
    is the price of a call in a batch; None means half of this one. The price was seen on the day
    `seen`, or holds since then.
    """

    input: float
    output: float
    cached_input: float | None = None
    cache_write: float | None = None
    input_tokens_max: int | None = None
    longer: Price | None = None
    batch: Price | None = None
    seen: dt.date | None = None

    def cost_nano_usd(self, usage: TokenUsage, *, is_batch: bool = False) -> int | None:
        """The cost of the tokens in nano-dollars, rounded up; None if the price does not cover them.

        Every reply has tokens: a usage of zero tokens means that they were not counted. A cost above
        `CALL_NANO_USD_MAX` is unknown, too.
        """
        if self.is_free:
            return 0
        if usage.input_tokens == usage.output_tokens == 0:
            return None
        if is_batch:
            return self._cost_in_batch(usage)
        if self.input_tokens_max is not None and usage.input_tokens > self.input_tokens_max:
            return None if self.longer is None else self.longer.cost_nano_usd(usage)
        cached = min(usage.cached_tokens, usage.input_tokens)
        written = min(usage.cache_write_tokens, usage.input_tokens - cached)
        return _cost(
            (usage.input_tokens - cached - written, self.input),
            (cached, self._or_input(self.cached_input)),
            (written, self._or_input(self.cache_write)),
            (usage.output_tokens, self.output),
        )

    def _cost_in_batch(self, usage: TokenUsage) -> int | None:
        if self.batch is not None:
            return self.batch.cost_nano_usd(usage)
        cost = self.cost_nano_usd(usage)
        return None if cost is None else ceil(cost * exact(BATCH_PART))

    @property
    def is_free(self) -> bool:
        """Whether tokens cost nothing."""
        return not any((self.input, self.output, self.cached_input, self.cache_write))

    def _or_input(self, rate: float | None) -> float:
        return self.input if rate is None else rate


def _cost(*amounts: tuple[int, float]) -> int | None:
    cost = ceil(_NANO_USD_PER_RATE * sum(tokens * exact(rate) for tokens, rate in amounts))
    return cost if cost <= CALL_NANO_USD_MAX else None


FREE = Price(input=0.0, output=0.0)


def price_at(price: PriceDef) -> Price:
    """The price that the definition of a server has, or that an event recorded from it."""
    batch = None if price.batch is None else price_at(price.batch)
    return Price(**{**asdict(price), "batch": batch})

"""Computes the cost of calls from their tokens and a table of prices.

Events record tokens and no costs; an unknown price gives an unknown cost.
`cli/jobs/caller/prices.py` finds the files with prices and reads them.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from orc.ledger.digest import Digest, digest_json
from orc.ledger.events import (
    AnyEvent,
    CacheHit,
    Frozen,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    TokenUsage,
)
from orc.providers.catalogue import facts_of

USD_DIGITS = 12
"""Costs are rounded to this many decimals: far below the price of a token, but without binary noise."""

_TOKENS = 1_000_000
_DATE_SUFFIX = re.compile(r"(-\d{4}-\d{2}-\d{2}|-\d{8}|@[^@]+)\Z")


def _parse_day(value: Any) -> Any:
    return dt.date.fromisoformat(value) if isinstance(value, str) else value


Rate = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
Day = Annotated[dt.date, BeforeValidator(_parse_day), Field(strict=True)]


class Price(Frozen):
    """The price of a model, in US dollars per million tokens.

    `cached_input` is the price of input that the provider had in its own cache; None means the
    price of other input. The price holds for calls of at most `input_tokens_max` tokens of input,
    and was seen on the day `seen`.
    """

    input: Rate
    output: Rate
    cached_input: Rate | None = None
    input_tokens_max: Annotated[int, Field(gt=0, strict=True)] | None = None
    seen: Day | None = None

    def cost_usd(self, usage: TokenUsage) -> float | None:
        """The cost of the tokens in US dollars; None if this price does not determine it.

        Every reply has tokens: a usage of zero tokens means that they were not counted.
        """
        if self.input == self.output == 0:
            return 0.0
        if usage.input_tokens == usage.output_tokens == 0:
            return None
        if self.input_tokens_max is not None and usage.input_tokens > self.input_tokens_max:
            return None
        cached = min(usage.cached_tokens, usage.input_tokens)
        cached_rate = self.input if self.cached_input is None else self.cached_input
        cost = (
            (usage.input_tokens - cached) * self.input
            + cached * cached_rate
            + usage.output_tokens * self.output
        )
        return round(cost / _TOKENS, USD_DIGITS)


FREE = Price(input=0.0, output=0.0)


class PriceTable(Frozen):
    """Prices by provider and model. `date` is the day on which prices without `seen` were seen."""

    date: Day | None = None
    currency: Literal["USD"] = "USD"
    unit: Literal["per million tokens"] = "per million tokens"
    sources: tuple[str, ...] = ()
    models: dict[str, dict[str, Price]]

    def find(self, provider: str, *models: str) -> Price | None:
        """The price of the first of the models that has one; None if it is unknown.

        A model name that ends with a date has its own price or that of the name without the date.
        For `replay`, the model is searched among all providers, and must have one price there.
        """
        for model in models:
            price = self._find(provider, model)
            if price is not None:
                return price
        return FREE if facts_of(provider).local else None

    def knows(self, provider: str) -> bool:
        """Whether the table has a price for any model of the provider."""
        facts = facts_of(provider)
        return bool(self.models) and (
            facts.is_recorded or (facts.billed_as or provider) in self.models
        )

    def price_call(self, provider: str, model: str, usage: TokenUsage) -> float | None:
        """The cost of a call in US dollars; None if that is unknown."""
        price = self.find(provider, model)
        return None if price is None else price.cost_usd(usage)

    def merged(self, own: PriceTable) -> PriceTable:
        """This table, with the entries of `own` added or in place of its own, model by model."""
        models = {provider: dict(of_provider) for provider, of_provider in self.models.items()}
        for provider, of_provider in own.models.items():
            models.setdefault(provider, {}).update(of_provider)
        return self._with_models(models)

    def dated(self) -> PriceTable:
        """This table, with its date as `seen` of each price that has none."""
        models = {
            provider: {
                name: price.model_copy(update={"seen": price.seen or self.date})
                for name, price in of_provider.items()
            }
            for provider, of_provider in self.models.items()
        }
        return self._with_models(models)

    @cached_property
    def digest(self) -> Digest:
        """The digest of the prices; equal prices have equal digests."""
        return digest_json(self.model_dump(mode="json", include={"models"}))

    def _with_models(self, models: dict[str, dict[str, Price]]) -> PriceTable:
        # Not `model_copy`: it would copy a digest that was computed before.
        kept = {name: getattr(self, name) for name in type(self).model_fields}
        return PriceTable(**{**kept, "models": models})

    def _find(self, provider: str, model: str) -> Price | None:
        facts = facts_of(provider)
        if facts.is_recorded:
            found = {price for name in self.models if (price := self._find(name, model))}
            return found.pop() if len(found) == 1 else None
        prices = self.models.get(facts.billed_as or provider, {})
        return prices.get(model) or prices.get(_DATE_SUFFIX.sub("", model))


NO_PRICES = PriceTable(models={})
"""The empty table: local models are free, every other price is unknown."""


@dataclass(slots=True)
class Spending:
    """The cost of several calls: the sum of the known costs, and the number of calls without one."""

    known_usd: float = 0.0
    calls_unpriced: int = 0

    def add(self, cost_usd: float | None) -> None:
        """Add a call; None is an unknown cost."""
        if cost_usd is None:
            self.calls_unpriced += 1
        else:
            self.known_usd = round(self.known_usd + cost_usd, USD_DIGITS)

    @property
    def total_usd(self) -> float | None:
        """The whole cost; None if a part of it is unknown."""
        return None if self.calls_unpriced else self.known_usd


@dataclass(frozen=True, slots=True)
class PricedCall:
    """A call that used tokens, and its cost: None if that is unknown."""

    step: str
    usage: TokenUsage
    cost_usd: float | None


class CallPricer:
    """Prices the calls of one job, given its events in order."""

    def __init__(self, prices: PriceTable) -> None:
        self._prices = prices
        self._requested: dict[tuple[str, int, int], str] = {}

    def take(self, event: AnyEvent) -> PricedCall | None:
        """Apply the next event; returns the call that it ends, or None.

        A call that failed without a usage counts as free, and is not returned.
        """
        match event:
            case LlmRequested():
                self._requested[event.step, event.attempt, event.call] = event.model
            case LlmResponded() | LlmFailed():
                requested = self._requested.pop(
                    (event.step, event.attempt, event.call), event.model
                )
                if event.usage is not None:
                    price = self._prices.find(event.provider, event.model, requested)
                    cost_usd = None if price is None else price.cost_usd(event.usage)
                    return PricedCall(event.step, event.usage, cost_usd)
            case _:
                pass
        return None


def saved_usd(prices: PriceTable, event: CacheHit) -> float | None:
    """What the call would have cost without the recorded reply; None if that is unknown."""
    if event.provider is None or event.model is None or event.usage is None:
        return None
    price = prices.find(event.provider, event.model)
    return None if price is None else price.cost_usd(event.usage)

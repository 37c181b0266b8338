"""Computes the cost of calls from their tokens and a table of prices.

Costs are whole nano-dollars: each call is rounded up to one, and sums are exact. Events record
tokens and no costs; an unknown price gives an unknown cost.
`cli/jobs/caller/prices.py` finds the files with prices and reads them.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil
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
from orc.ledger.money import NANO_PER_USD, exact, optional_usd, usd_number
from orc.ledger.servers.server_def import ANY_MODEL, PriceDef, ServerDef
from orc.providers.catalogue import facts_of

CALL_NANO_USD_MAX = 1_000_000 * NANO_PER_USD
"""The highest cost of a call that is believed; above it, the count of tokens or the price is wrong."""

_NANO_USD_PER_RATE = NANO_PER_USD // 1_000_000
"""Nano-dollars for a token at one US dollar per million tokens."""

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

    def cost_nano_usd(self, usage: TokenUsage) -> int | None:
        """The cost of the tokens in nano-dollars, rounded up; None if this price does not tell it.

        Every reply has tokens: a usage of zero tokens means that they were not counted. A cost above
        `CALL_NANO_USD_MAX` is not told.
        """
        if self.input == self.output == 0:
            return 0
        if usage.input_tokens == usage.output_tokens == 0:
            return None
        if self.input_tokens_max is not None and usage.input_tokens > self.input_tokens_max:
            return None
        cached = min(usage.cached_tokens, usage.input_tokens)
        cached_rate = self.input if self.cached_input is None else self.cached_input
        cost = ceil(
            _NANO_USD_PER_RATE
            * (
                (usage.input_tokens - cached) * exact(self.input)
                + cached * exact(cached_rate)
                + usage.output_tokens * exact(self.output)
            )
        )
        return cost if cost <= CALL_NANO_USD_MAX else None


FREE = Price(input=0.0, output=0.0)


def price_at(price: PriceDef) -> Price:
    """The price that the definition of a server has, or that an event recorded from it."""
    return Price(input=price.input, output=price.output, cached_input=price.cached_input)


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
            asked = (provider, model)
            if asked not in self._found:
                # A job asks few models, often: for `replay`, the whole table would be searched.
                self._found[asked] = self._find(provider, model)
            price = self._found[asked]
            if price is not None:
                return price
        return FREE if facts_of(provider).local else None

    def with_servers(self, servers: Mapping[str, ServerDef]) -> PriceTable:
        """This table, with the prices of named servers in place of its own for these names."""
        models = {
            name: {model: price_at(price) for model, price in server.prices.items()}
            for name, server in servers.items()
            if server.prices
        }
        return self.merged(PriceTable(models=models)) if models else self

    def knows(self, provider: str) -> bool:
        """Whether the table has a price for any model of the provider."""
        facts = facts_of(provider)
        return bool(self.models) and (
            facts.is_recorded or (facts.billed_as or provider) in self.models
        )

    def price_call(self, provider: str, model: str, usage: TokenUsage) -> int | None:
        """The cost of a call in nano-dollars; None if that is unknown."""
        price = self.find(provider, model)
        return None if price is None else price.cost_nano_usd(usage)

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
    def _found(self) -> dict[tuple[str, str], Price | None]:
        return {}

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
        price = prices.get(model) or prices.get(_DATE_SUFFIX.sub("", model))
        return price or prices.get(ANY_MODEL)


NO_PRICES = PriceTable(models={})
"""The empty table: local models are free, every other price is unknown."""


@dataclass(slots=True)
class Spending:
    """The cost of several calls: the sum of the known costs, and the number of calls without one."""

    known_nano_usd: int = 0
    calls_unpriced: int = 0

    def add(self, cost_nano_usd: int | None) -> None:
        """Add a call; None is an unknown cost."""
        if cost_nano_usd is None:
            self.calls_unpriced += 1
        else:
            self.known_nano_usd += cost_nano_usd

    @property
    def total_nano_usd(self) -> int | None:
        """The whole cost; None if a part of it is unknown."""
        return None if self.calls_unpriced else self.known_nano_usd

    def value(self) -> dict[str, Any]:
        """As JSON values in US dollars; `cost_usd` is null if a part of it is unknown."""
        return {
            "cost_usd": optional_usd(self.total_nano_usd),
            "cost_known_usd": usd_number(self.known_nano_usd),
            "calls_unpriced": self.calls_unpriced,
        }


@dataclass(frozen=True, slots=True)
class PricedCall:
    """A call that used tokens, and its cost: None if that is unknown."""

    step: str
    usage: TokenUsage
    cost_nano_usd: int | None


class CallPricer:
    """Prices the calls of one job, given its events in order."""

    def __init__(self, prices: PriceTable) -> None:
        self._prices = prices
        self._requested: dict[tuple[str, int, int], str] = {}

    def take(self, event: AnyEvent) -> PricedCall | None:
        """Apply the next event; returns the call that it ends, or None.

        A call that failed without a usage counts as free, and is not returned. The cost of a reply
        without one is unknown, unless the model is free.
        """
        match event:
            case LlmRequested():
                self._requested[event.step, event.attempt, event.call] = event.model
            case LlmResponded() | LlmFailed():
                requested = self._requested.pop(
                    (event.step, event.attempt, event.call), event.model
                )
                usage = priced_usage(event)
                if usage is not None:
                    price = price_at(event.price) if event.price else None
                    price = price or self._prices.find(event.provider, event.model, requested)
                    cost = None if price is None else price.cost_nano_usd(usage)
                    return PricedCall(event.step, usage, cost)
            case _:
                pass
        return None


def priced_usage(event: LlmResponded | LlmFailed | CacheHit) -> TokenUsage | None:
    """What a price applies to: no tokens for a reply that was not counted, None without a reply."""
    if event.usage is None and not isinstance(event, LlmFailed):
        return TokenUsage()
    return event.usage


def saved_nano_usd(prices: PriceTable, event: CacheHit) -> int | None:
    """What the call would have cost without the recorded reply; None if that is unknown."""
    usage = priced_usage(event)
    if event.provider is None or event.model is None or usage is None:
        return None
    price = price_at(event.price) if event.price else prices.find(event.provider, event.model)
    return None if price is None else price.cost_nano_usd(usage)

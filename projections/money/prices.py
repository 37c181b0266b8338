"""Computes the cost of calls from their tokens and a table of prices.

Costs are whole nano-dollars: each call is rounded up to one, and sums are exact. Events record
tokens and no costs; an unknown price gives an unknown cost.
`cli/jobs/caller/prices.py` finds the files with prices and reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

from msgspec import Struct, field, to_builtins
from msgspec.structs import asdict, replace

from orc.ledger.digest import Digest, digest_json
from orc.ledger.events import (
    CacheHit,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    Recorded,
    TokenUsage,
)
from orc.ledger.money import optional_usd, usd_number
from orc.ledger.servers.server_def import ANY_MODEL, ServerDef
from orc.projections.money import published
from orc.projections.money.price import FREE, Price, price_at
from orc.providers.catalogue import REGISTRY, facts_of

_DATE_SUFFIX = re.compile(r"(-\d{4}-\d{2}-\d{2}|-\d{8}|@[^@]+)\Z")


class PriceTable(Struct, frozen=True, dict=True, kw_only=True):
    """Prices by provider and model."""

    models: dict[str, dict[str, Price]]

    def find(
        self, provider: str, *models: str, endpoint: str | None = None, at: str | None = None
    ) -> Price | None:
        """The price of the first of the models that has one; None if it is unknown.

        A model name that ends with a date has its own price or that of the name without the date.
        For `replay`, the model is searched among all providers, and must have one price there.
        `endpoint` is the address of a named server, and `at` the time of the call (UTC text).
        """
        for model in models:
            asked = (provider, model)
            if asked not in self._found:
                # A job asks few models, often: for `replay`, the whole table would be searched.
                self._found[asked] = self._find(provider, model)
            price = self._found[asked] or self._find_elsewhere(provider, model, endpoint, at)
            if price is not None:
                return price
        return FREE if facts_of(provider).local else None

    def with_servers(self, servers: Mapping[str, ServerDef]) -> Self:
        """This table, with the prices of named servers in place of its own for these names."""
        models = {
            name: {model: price_at(price) for model, price in server.prices.items()}
            for name, server in servers.items()
            if server.prices
        }
        return self.merged(PriceTable(models=models)) if models else self

    def knows(self, provider: str) -> bool:
        """Whether the table may have a price for some model of the provider."""
        facts = facts_of(provider)
        return bool(self.models) and (
            facts.is_recorded or (facts.billed_as or provider) in self.models
        )

    def price_call(
        self, provider: str, model: str, usage: TokenUsage, *, is_batch: bool = False
    ) -> int | None:
        """The cost of a call in nano-dollars; None if that is unknown."""
        price = self.find(provider, model)
        return None if price is None else price.cost_nano_usd(usage, is_batch=is_batch)

    def merged(self, own: PriceTable) -> Self:
        """This table, with the entries of `own` added or in place of its own, model by model."""
        models = {provider: dict(of_provider) for provider, of_provider in self.models.items()}
        for provider, of_provider in own.models.items():
            models.setdefault(provider, {}).update(of_provider)
        return self._with_models(models)

    @cached_property
    def _found(self) -> dict[tuple[str, str], Price | None]:
        return {}

    @cached_property
    def digest(self) -> Digest:
        """The digest of the prices; equal prices have equal digests."""
        return digest_json({"models": to_builtins(self.models)})

    def _with_models(self, models: dict[str, dict[str, Price]]) -> Self:
        return type(self)(**{**asdict(self), "models": models})

    def _find(self, provider: str, model: str) -> Price | None:
        facts = facts_of(provider)
        if facts.is_recorded:
            found = {price for name in self.models if (price := self._find(name, model))}
            return found.pop() if len(found) == 1 else None
        prices = self.models.get(facts.billed_as or provider, {})
        price = prices.get(model) or prices.get(_DATE_SUFFIX.sub("", model))
        return price or prices.get(ANY_MODEL)

    def _find_elsewhere(
        self, provider: str, model: str, endpoint: str | None, at: str | None
    ) -> Price | None:
        """A price that is not in this table."""
        return None


class PublishedPrices(PriceTable, frozen=True, dict=True, kw_only=True):
    """Prices of a user, over those that the package `genai-prices` brings.

    A named server has the prices of the company at its address, whatever its name is; `addresses` are
    those of servers by name.
    """

    addresses: dict[str, str] = field(default_factory=dict)

    def with_servers(self, servers: Mapping[str, ServerDef]) -> Self:
        """This table, with the prices and the addresses of named servers."""
        addresses = {name: server.base_url for name, server in servers.items()}
        table = super().with_servers(servers)
        return replace(table, addresses=addresses) if addresses else table

    def knows(self, provider: str) -> bool:
        """Whether the table may have a price for some model of the provider."""
        return not facts_of(provider).local or super().knows(provider)

    @cached_property
    def digest(self) -> Digest:
        """The digest of the prices; other data of the package gives another one."""
        own = to_builtins(self.models)
        return digest_json({"models": own, published.PACKAGE: published.package_version()})

    def _find_elsewhere(
        self, provider: str, model: str, endpoint: str | None, at: str | None
    ) -> Price | None:
        facts = facts_of(provider)
        if facts.local:
            return None
        if facts.is_recorded:
            if any(self._find(name, model) for name in self.models):
                return None  # the user's own prices differ
            found = {
                price
                for name in _LISTED
                if (price := published.published_price(name, model, at)) is not None
            }
            return found.pop() if len(found) == 1 else None
        if provider in REGISTRY:
            return published.published_price(facts.billed_as or provider, model, at)
        listed = published.list_of(endpoint or self.addresses.get(provider, ""))
        return published.published_price(listed, model, at) if listed else None


_LISTED = tuple(
    name
    for name, entry in REGISTRY.items()
    if not (entry.local or entry.is_recorded or entry.billed_as)
)
"""The providers of orc that have a list of prices, under the same name."""

NO_PRICES = PriceTable(models={})
"""The empty table: local models are free, every other price is unknown."""


class Spending(Struct):
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


class PricedCall(Struct, frozen=True):
    """A call that used tokens, and its cost: None if that is unknown."""

    step: str
    usage: TokenUsage
    cost_nano_usd: int | None


class CallPricer:
    """Prices the calls of one job, given its events in order."""

    def __init__(self, prices: PriceTable) -> None:
        self._prices = prices
        self._requested: dict[tuple[str, int, int], LlmRequested] = {}

    def take(self, recorded: Recorded) -> PricedCall | None:
        """Apply the next event; returns the call that it ends, or None.

        A call that failed without a usage counts as free, and is not returned. The cost of a reply
        without one is unknown, unless the model is free.
        """
        event = recorded.event
        match event.type:
            case "llm.requested":
                self._requested[event.step, event.attempt, event.call] = event
            case "llm.responded" | "llm.failed":
                requested = self._requested.pop((event.step, event.attempt, event.call), None)
                usage = priced_usage(event)
                if usage is not None:
                    price = price_of_call(
                        self._prices,
                        event,
                        asked=None if requested is None else requested.model,
                        endpoint=None if requested is None else requested.endpoint,
                        at=recorded.recorded_at,
                    )
                    cost = (
                        None
                        if price is None
                        else (price.cost_nano_usd(usage, is_batch=event.batch is not None))
                    )
                    return PricedCall(event.step, usage, cost)
            case _:
                pass
        return None


def price_of_call(
    prices: PriceTable,
    event: LlmResponded | LlmFailed,
    *,
    asked: str | None = None,
    endpoint: str | None = None,
    at: str,
) -> Price | None:
    """The price that the event recorded, else that of the model that answered, or was asked.

    `endpoint` is the address to which the request was sent.
    """
    if event.price is not None:
        return price_at(event.price)
    models = (event.model, asked or event.model)
    return prices.find(event.provider, *models, endpoint=endpoint, at=at)


def priced_usage(event: LlmResponded | LlmFailed | CacheHit) -> TokenUsage | None:
    """What a price applies to: no tokens for a reply that was not counted, None without a reply."""
    if event.usage is None and not isinstance(event, LlmFailed):
        return TokenUsage()
    return event.usage


def saved_nano_usd(prices: PriceTable, event: CacheHit, *, at: str) -> int | None:
    """What the call would have cost without the recorded reply; None if that is unknown."""
    usage = priced_usage(event)
    if event.provider is None or event.model is None or usage is None:
        return None
    if event.price is not None:
        price: Price | None = price_at(event.price)
    else:
        price = prices.find(event.provider, event.model, at=at)
    return None if price is None else price.cost_nano_usd(usage)

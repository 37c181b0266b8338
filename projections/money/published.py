"""Reads the prices that come with the package `genai-prices`: its data, without any network.

The package is imported when a price is looked up that nobody else gives, since its data is large.
Each model has its history of prices there, so that an old call keeps the price of its day.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from msgspec.structs import replace

from orc.about import version_of
from orc.ledger.servers.addresses import is_loopback
from orc.projections.money.price import Price

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

PACKAGE = "genai-prices"
_BATCH = {"processing": "batch"}
_TEXT_KEYS = frozenset({"input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok"})
_FOR_SOMETHING_ELSE = re.compile(
    r"cache_write_1h_mtok|web_searches_kcount|.*(audio|image|video|document|citation|storage).*"
)
"""Keys with prices of what orc's requests do not use. Any other key leaves the cost unknown."""


@cache
def package_version() -> str:
    """The version of the package, which tells its data apart from that of others."""
    return version_of(PACKAGE)


def list_of(address: str) -> str:
    """The name of the list with the prices of the server at this address; empty if there is none."""
    host = re.sub(r"^https?://|[:/].*", "", address)
    if not host or is_loopback(host):
        return ""
    return _list_of(address)


def published_price(listed: str, model: str, at: str | None = None) -> Price | None:
    """The price of a model in a list, at a time (UTC text, else now); None if the data has none."""
    found = _find_model(listed, model)
    if found is None:
        return None
    time = dt.datetime.fromisoformat(at) if at else dt.datetime.now(dt.UTC)
    # Most models have one price. A minute is the smallest step of the prices that change in a day.
    return _price_at(
        listed, model, time.replace(second=0, microsecond=0) if _changes(found) else None
    )


def newest_change(today: dt.date) -> dt.date | None:
    """The day since which the newest price in the data holds, without those that hold later.

    The package does not say of which day its data is.
    """
    from genai_prices.types import StartDateConstraint

    days = (
        one.constraint.start_date
        for provider in _providers().values()
        for model in provider.models
        for one in (model.prices if isinstance(model.prices, list) else ())
        if isinstance(one.constraint, StartDateConstraint)
    )
    return max((day for day in days if day <= today), default=None)


def published_models(listed: str) -> list[str]:
    """The names of the models of a list."""
    provider = _providers().get(listed)
    return [] if provider is None else [model.id for model in provider.models]


@cache
def _providers() -> dict[str, Provider]:
    from genai_prices.data import providers

    return {provider.id: provider for provider in providers}


@lru_cache(maxsize=256)
def _list_of(address: str) -> str:
    for name, provider in _providers().items():
        if re.match(provider.api_pattern, address):
            return name
    return ""


@lru_cache(maxsize=4096)
def _find_model(listed: str, model: str) -> ModelInfo | None:
    provider = _providers().get(listed)
    if provider is None:
        return None
    return provider.find_model(model, all_providers=list(_providers().values()))


def _changes(model: ModelInfo) -> bool:
    variants = model.price_variants or ()
    return isinstance(model.prices, list) or any(one.constraint is not None for one in variants)


@lru_cache(maxsize=4096)
def _price_at(listed: str, model: str, time: dt.datetime | None) -> Price | None:
    found = _find_model(listed, model)
    assert found is not None
    time = time or dt.datetime.now(dt.UTC)
    standard = found.get_prices(time)
    price = _build(standard, found, time)
    if price is None:
        return None
    batch = found.get_prices(time, _BATCH)
    return price if batch == standard else replace(price, batch=_build(batch, found, time))


def _build(prices: ModelPrice, model: ModelInfo, time: dt.datetime) -> Price | None:
    """The price as orc computes with it; None if the data does not tell what a text costs."""
    given = {key: value for key, value in prices.__dict__.items() if value is not None}
    others = given.keys() - _TEXT_KEYS
    if "input_mtok" not in given or not all(map(_FOR_SOMETHING_ELSE.fullmatch, others)):
        return None
    if "output_mtok" not in given and any("output" in key for key in others):
        return None
    built: Price | None = None
    limits: list[int | None] = [None, *sorted(_starts(given), reverse=True)]
    for above, upto in zip([*limits[1:], 0], limits, strict=True):
        rates = {key: _rate(given.get(key), above or 0) for key in _TEXT_KEYS}
        built = Price(
            input=rates["input_mtok"] or 0.0,
            cached_input=rates["cache_read_mtok"],
            cache_write=rates["cache_write_mtok"],
            # A model that only reads, such as one for embeddings, has no price of output.
            output=rates["output_mtok"] or 0.0,
            input_tokens_max=upto,
            longer=built,
            seen=_since(model, time),
        )
    return built


def _starts(given: dict[str, object]) -> set[int]:
    tiers = [tier for key in _TEXT_KEYS for tier in getattr(given.get(key), "tiers", ())]
    return {tier.start for tier in tiers if tier.start > 0}


def _rate(value: object, above: int) -> float | None:
    """The rate for prompts of more than this many tokens."""
    if value is None or isinstance(value, Decimal):
        return None if value is None else float(value)
    rate = value.base  # type: ignore[attr-defined]  # it is a TieredPrices
    for tier in value.tiers:  # type: ignore[attr-defined]
        if tier.start <= above:
            rate = tier.price
    return float(rate)


def _since(model: ModelInfo, time: dt.datetime) -> dt.date | None:
    """The day since which the price holds, if the data tells."""
    for one in reversed(model.prices if isinstance(model.prices, list) else []):
        if one.constraint is None or one.constraint.active(time):
            start: dt.date | None = getattr(one.constraint, "start_date", None)
            return start
    return None

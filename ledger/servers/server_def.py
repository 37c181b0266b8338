"""A named server as the definition of a job records it: its address, its prices, its deviations.

No secret is recorded: a key, and a header whose value is secret, is the name of a variable.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from orc.ledger.stored_struct import NO_ENTRIES, Stored

Api = Literal["openai", "openai-responses", "anthropic", "ollama"]
"""The APIs that a named server can have: providers by name."""
LimitField = Literal["max_tokens", "max_completion_tokens"]
JsonMode = Literal["schema", "object", "words"]
ReasoningField = Literal["reasoning_content", "reasoning"]

ANY_MODEL = "*"
"""The name under `prices` that stands for every model without a price of its own."""


class HeaderDef(Stored, frozen=True, kw_only=True):
    """A header whose value is `prefix` and the value of the environment variable `env`."""

    env: str
    prefix: str = ""


class PriceDef(Stored, frozen=True, kw_only=True):
    """The price of a model, in US dollars per million tokens, with the keys of a price table.

    `batch` is the price of a call in a batch; None means half of this one.
    """

    input: float
    output: float
    cached_input: float | None = None
    cache_write: float | None = None
    batch: PriceDef | None = None


class ServerDef(Stored, frozen=True, kw_only=True):
    """A named server. `key` is the name of an environment variable; None if it needs no key.

    `timeout_s` is how long it may send nothing, for steps that set no timeout;
    `wait_for_server_s` how long steps wait until it is ready. `prices` are by model;
    None if they are unknown here. `limit_field` None sends both names to servers that are not OpenAI's.
    """

    api: Api
    base_url: str
    key: str | None = None
    headers: dict[str, str | HeaderDef] = NO_ENTRIES
    query: dict[str, str] = NO_ENTRIES
    timeout_s: float | None = None
    wait_for_server_s: float | None = None
    prices: dict[str, PriceDef] | None = None
    default_model: str | None = None
    limit_field: LimitField | None = None
    json_mode: JsonMode = "schema"
    tools_strict: bool = True
    stream: bool = True
    reasoning_field: ReasoningField | None = None
    batch: bool = False

    def variables(self) -> Iterator[str]:
        """The environment variables whose values are sent to the server, and are secret."""
        if self.key is not None:
            yield self.key
        for header in self.headers.values():
            if isinstance(header, HeaderDef):
                yield header.env


def price_at(server: ServerDef | None, model: str) -> PriceDef | None:
    """The price of a model at a server; None if the definition has none."""
    prices = (server.prices if server is not None else None) or {}
    return prices.get(model) or prices.get(ANY_MODEL)

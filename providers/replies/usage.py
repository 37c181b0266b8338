"""Counts of tokens and costs under the names of all vendors.

What a server did not report is unknown, which is not zero: `Counts.is_known` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from msgspec import Struct

from orc.providers.contract import Usage
from orc.providers.errors import ProviderError
from orc.providers.replies.lenient import read_count

_NANO = 10**9
_TICKS_PER_NANO = 10
COST_MAX_NANO_USD = 10**15

_INPUT = ("prompt_tokens", "input_tokens", "prompt_eval_count")
_OUTPUT = ("completion_tokens", "output_tokens", "eval_count")
_CACHED = (
    "prompt_tokens_details.cached_tokens",
    "input_tokens_details.cached_tokens",
    "prompt_token_details.cached_tokens",
    "prompt_cache_hit_tokens",
    "cache_read_input_tokens",
    "cached_tokens",
    "num_cached_tokens",
    "cached_prompt_tokens",
    "cached_content_token_count",
)
_CACHE_WRITES = (
    "prompt_tokens_details.cache_write_tokens",
    "input_tokens_details.cache_write_tokens",
    "cache_creation_input_tokens",
)
_REASONING = (
    "completion_tokens_details.reasoning_tokens",
    "output_tokens_details.reasoning_tokens",
    "reasoning_tokens",
    "thoughts_token_count",
)
_COSTS = ("cost", "cost.total_cost", "total_cost", "estimated_cost", "cost_usd")


class Counts(Struct, frozen=True):
    """The counts of a call as far as they are known, and its cost as the server reports it."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano_usd: int | None = None
    cache_write_tokens: int = 0

    @property
    def is_known(self) -> bool:
        """Whether the server counted both the input and the output."""
        return self.input_tokens is not None and self.output_tokens is not None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known."""
        return self.input_tokens is None and self.output_tokens is None

    def usage(self) -> Usage:
        """The counts, with 0 for what is unknown; a part is never larger than its total."""
        read, written = self.input_tokens or 0, self.output_tokens or 0
        cached = min(self.cached_tokens, read)
        return Usage(
            read,
            written,
            cached,
            min(self.reasoning_tokens, written),
            min(self.cache_write_tokens, read - cached),
        )


def read_counts(document: object) -> Counts:
    """The counts in a `usage` object. Other shapes, and fields of other types, are unknown.

    Some servers count reasoning outside of the output. It belongs to the output if the total says
    so, or if there is more of it than output.
    """
    if not isinstance(document, Mapping):
        return Counts()
    read, written = _first(document, _INPUT), _first(document, _OUTPUT)
    reasoning = _first(document, _REASONING) or 0
    total = read_count(document.get("total_tokens"))
    if read is not None and total is not None and total > read + (written or 0):
        outside = total - read - (written or 0)
        written = total - read
        reasoning = max(reasoning, outside)
    elif written is not None and reasoning > written:
        written += reasoning
    if not read:
        # A server that does not count may write zeros; a request is never empty.
        read, written = None, written or None
    cached, cache_write = (_first(document, paths) or 0 for paths in (_CACHED, _CACHE_WRITES))
    return Counts(read, written, cached, reasoning, read_cost(document), cache_write)


def later_counts(counts: Counts, document: object) -> Counts:
    """The counts in a later `usage` object; the earlier ones if it has none."""
    later = read_counts(document)
    return counts if later.is_empty and later.cost_nano_usd is None else later


def mark_partial(error: ProviderError, counts: Counts, *, has_begun: bool) -> ProviderError:
    """The error of a reply that broke off, with what was counted before."""
    error.is_partial = error.is_partial or has_begun
    if error.usage is None and not counts.is_empty:
        error.usage = counts.usage()
    return error


def read_cost(document: Mapping[str, Any]) -> int | None:
    """The cost in nano-dollars that a server reports in its usage; None if it reports none."""
    ticks = read_count(document.get("cost_in_usd_ticks"))
    if ticks is not None:
        return ticks // _TICKS_PER_NANO
    for path in _COSTS:
        cost = parse_usd(_at(document, path))
        if cost is not None:
            return cost
    return None


def find_cost(counts: Counts, headers: Mapping[str, str]) -> int | None:
    """The cost in nano-dollars that a server reports with its counts, or a router in a header."""
    if counts.cost_nano_usd is not None:
        return counts.cost_nano_usd
    return parse_usd(headers.get("x-litellm-response-cost"))


def parse_usd(value: object) -> int | None:
    """An amount of dollars, as a number or a text, in nano-dollars; None if it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        nano = Decimal(str(value)[:40].strip()) * _NANO
    except InvalidOperation:
        return None
    return int(nano) if nano.is_finite() and 0 <= nano <= COST_MAX_NANO_USD else None


def _first(document: Mapping[str, Any], paths: tuple[str, ...]) -> int | None:
    """The first count that is there; a later one if it is the first that is more than 0."""
    found: int | None = None
    for path in paths:
        count = read_count(_at(document, path))
        if count:
            return count
        found = count if found is None else found
    return found


def _at(document: Mapping[str, Any], path: str) -> object:
    value: object = document
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value

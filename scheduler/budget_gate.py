"""Computes the worst case of each call, and holds the call back until every budget has room for it."""

from __future__ import annotations

from collections.abc import Callable

import trio
from msgspec.structs import replace

from orc.ledger.digest import canonical_json
from orc.ledger.events import (
    LlmFailed,
    LlmRequested,
    LlmResponded,
    Payload,
    Reserved,
    TokenUsage,
    WorstCase,
)
from orc.scheduler.core.commands import Failed, OutOfBudget
from orc.scheduler.core.fold.batches import is_batched
from orc.scheduler.core.fold.budgets import Shortfall, accounts_of, find_shortfall, has_money_limit
from orc.scheduler.core.fold.evolve import JobState

PriceCall = Callable[..., int | None]
"""The cost of a call in nano-dollars, from provider, model and usage; None if it is unknown.

With `is_batch=True`, of a call in a batch.
"""


class OverBudget(Exception):
    """A call does not fit a budget, even after all calls in flight have ended."""

    def __init__(self, outcome: OutOfBudget | Failed) -> None:
        super().__init__("over budget")
        self.outcome = outcome


def unknown_price(provider: str, model: str, usage: TokenUsage) -> int | None:
    """The PriceCall of a caller that has no price table."""
    return None


def highest_cost(
    price: PriceCall, provider: str, model: str, usage: TokenUsage, *, is_batch: bool = False
) -> int | None:
    """The most that a call with this usage costs, in nano-dollars; None if the price is unknown.

    Its input may come from the provider's cache or go there, and each can have the highest price.
    """
    caching = ("cached_tokens", "cache_write_tokens")
    usages = [usage, *(replace(usage, **{key: usage.input_tokens}) for key in caching)]
    how = {"is_batch": True} if is_batch else {}
    costs = [price(provider, model, each, **how) for each in usages]
    return None if None in costs else max(cost for cost in costs if cost is not None)


class BudgetGate:
    """Applies the budgets of one running job to its calls."""

    def __init__(self, state: JobState, price: PriceCall) -> None:
        self._state = state
        self._price = price
        self._claims: dict[str, Reserved] = {}
        self._worst: dict[str, WorstCase] = {}
        self._changed = trio.Event()

    async def admit(self, event: LlmRequested) -> LlmRequested:
        """Wait until the call fits its budgets; return the request with worst case and reserve.

        Raises OverBudget when the call cannot fit.
        """
        while True:
            admitted = self.try_admit(event)
            if admitted is not None:
                return admitted
            changed = self._changed
            await changed.wait()

    def try_admit(self, event: LlmRequested) -> LlmRequested | None:
        """The request with worst case and reserve; None if calls in flight must end first.

        Raises OverBudget when the call cannot fit.
        """
        worst = self._worst_case(event)
        event = replace(event, worst_case=worst)
        self._worst[event.step] = worst
        if not any(accounts_of(self._state, event.step)):
            return event
        need = self._need(event, worst)
        short = find_shortfall(self._state, event.step, need, claims=tuple(self._claims.items()))
        if short is None:
            self._claims[event.step] = need
            return replace(event, reserved=need)
        if short.is_held:
            return None
        raise OverBudget(_outcome(short))

    def charge(self, event: LlmResponded | LlmFailed) -> LlmResponded | LlmFailed:
        """Add the cost to the end of a call, if a budget limits money.

        A reply without counts is charged the worst case: of an answer without a limit, a token a byte.
        """
        worst = self._worst.pop(event.step, None)
        if isinstance(event, LlmResponded) and event.usage is None:
            return self._charge_worst(event, worst)
        if event.usage is None or not has_money_limit(self._state, event.step):
            return event
        how = {"is_batch": True} if event.batch is not None else {}
        cost = self._price(event.provider, event.model, event.usage, **how)
        return event if cost is None else replace(event, charged_nano_usd=cost)

    def worst_tokens(self, step_id: str) -> int | None:
        """The most tokens of the step's call in flight, as far as they are known."""
        worst = self._worst.get(step_id)
        return None if worst is None else worst.input_tokens + (worst.output_tokens or 0)

    def _charge_worst(self, event: LlmResponded, worst: WorstCase | None) -> LlmResponded:
        read, written = (0, None) if worst is None else (worst.input_tokens, worst.output_tokens)
        tokens = read + (_size(event.reply) if written is None else written)
        charged: dict[str, int] = {"charged_tokens": tokens}
        if has_money_limit(self._state, event.step):
            charged["charged_nano_usd"] = (worst and worst.cost_nano_usd) or 0
        return replace(event, **charged)

    def release(self, step_id: str) -> None:
        """Drop the step's claim: the call is in the state now, or was not sent. Wake the waiters."""
        self._claims.pop(step_id, None)
        self._changed.set()
        self._changed = trio.Event()

    def _worst_case(self, event: LlmRequested) -> WorstCase:
        tokens = _size(event.request) + (event.attached_bytes or 0)
        step = self._state.graph.steps[event.step]
        longest = 0 if step.facts.embeds else step.params.get("max_tokens")
        if longest is not None:
            usage = TokenUsage(input_tokens=tokens, output_tokens=int(longest))
            cost = highest_cost(
                self._price,
                event.provider,
                event.model,
                usage,
                is_batch=is_batched(self._state, event.step),
            )
            return WorstCase(input_tokens=tokens, output_tokens=int(longest), cost_nano_usd=cost)
        # Without `max_tokens`, only a free model has a known worst case in money.
        some = TokenUsage(input_tokens=tokens, output_tokens=1)
        is_free = self._price(event.provider, event.model, some) == 0
        return WorstCase(input_tokens=tokens, cost_nano_usd=0 if is_free else None)

    def _need(self, event: LlmRequested, worst: WorstCase) -> Reserved:
        tokens = worst.input_tokens + (worst.output_tokens or 0)
        if not has_money_limit(self._state, event.step):
            return Reserved(tokens=tokens)
        if worst.cost_nano_usd is None:
            message = (
                f"there is no price for {event.provider}/{event.model} with a prompt of this "
                "length, and the budget limits money; add a price or remove max_cost_usd"
            )
            raise OverBudget(Failed("budget", message, 0.0, final=True))
        return Reserved(tokens=tokens, cost_nano_usd=worst.cost_nano_usd)


def _size(request: Payload) -> int:
    return request.size_bytes or len(canonical_json(request.value))


def _outcome(short: Shortfall) -> OutOfBudget | Failed:
    if short.on_exceeded == "fail":
        return Failed("budget", short.message(), 0.0, final=True)
    return OutOfBudget(
        account=short.account,
        limit=short.limit,
        maximum=short.maximum,
        spent=short.spent,
        needed=short.needed,
        duration_s=0.0,
    )

"""What a job and its steps may spend, what they have spent, and what calls in flight may still cost.

The worst case of a call is reserved before it is sent, so that a limit binds:
a token for each byte of the request, and the longest reply. What a call did
cost takes its place when it ends; of a call that never answered, the worst case stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from orc.ledger.definition import BudgetDef
from orc.ledger.events import (
    BudgetExceeded,
    BudgetRaised,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    Reserved,
)
from orc.ledger.wording import limit_text
from orc.scheduler.core.fold.state import JobState, Spent

JOB = ""
"""The job's own account, among those of steps."""

Limit = Literal["max_calls", "max_tokens", "max_cost_usd"]
_LIMITS: tuple[Limit, ...] = ("max_calls", "max_tokens", "max_cost_usd")


@dataclass(frozen=True, slots=True)
class Shortfall:
    """The limit that a call does not fit; it may once calls in flight have ended, if `is_held`."""

    account: str
    limit: Limit
    maximum: float
    spent: float
    needed: float
    is_held: bool
    on_exceeded: str

    def message(self) -> str:
        """What a person reads."""
        whose = f"the budget of step {self.account!r}" if self.account else "the job's budget"
        amounts = (self.maximum, self.spent, self.needed)
        maximum, spent, needed = (limit_text(self.limit, amount) for amount in amounts)
        return f"{whose}: {self.limit} is {maximum}; spent: {spent}; this needs {needed}"


def accounts_of(state: JobState, step_id: str) -> Iterator[tuple[str, BudgetDef]]:
    """The accounts that a call of the step is on: its own, those of what holds it, and the job's."""
    name: str | None = step_id
    while name is not None:
        budget = state.graph.steps[name].budget
        if budget is not None:
            yield name, state.raised_budgets.get(name, budget)
        name = state.steps[name].parent
    if state.definition.budget is not None:
        yield JOB, state.raised_budgets.get(JOB, state.definition.budget)


def has_money_limit(state: JobState, step_id: str) -> bool:
    """Whether what the step spends has to be known in money."""
    return any(budget.max_cost_usd is not None for _, budget in accounts_of(state, step_id))


def find_shortfall(
    state: JobState, step_id: str, need: Reserved, *, claims: Iterable[tuple[str, Reserved]] = ()
) -> Shortfall | None:
    """The first limit that a call does not fit.

    `claims` are calls, by their steps, that are about to be sent and not yet in the state.
    """
    claimed = list(claims)
    for account, budget in accounts_of(state, step_id):
        spent = state.spent.get(account) or Spent()
        others = [
            reserved
            for other, reserved in claimed
            if other != step_id and any(name == account for name, _ in accounts_of(state, other))
        ]
        for limit in _LIMITS:
            maximum = getattr(budget, limit)
            if maximum is None:
                continue
            used, held, needed = _amounts(limit, spent, need)
            held += sum(_amounts(limit, Spent(), reserved)[2] for reserved in others)
            if used + held + needed > maximum:
                is_held = used + needed <= maximum
                return Shortfall(account, limit, maximum, used, needed, is_held, budget.on_exceeded)
    return None


def _amounts(limit: Limit, spent: Spent, need: Reserved) -> tuple[float, float, float]:
    match limit:
        case "max_calls":
            return spent.calls, 0.0, 1.0
        case "max_tokens":
            return spent.tokens, spent.held_tokens, need.tokens
    return spent.usd, spent.held_usd, need.cost_usd or 0.0


def reserve_call(state: JobState, event: LlmRequested) -> None:
    """Fold the event: what it may cost is held."""
    step = state.steps[event.step]
    step.reserved = event.reserved or Reserved()
    for account, _ in accounts_of(state, event.step):
        spent = state.spent.setdefault(account, Spent())
        spent.calls += 1
        spent.held_tokens += step.reserved.tokens
        spent.held_usd += step.reserved.cost_usd or 0.0


def charge_call(state: JobState, event: LlmResponded | LlmFailed) -> None:
    """Fold the event: what it did cost is spent, and the rest is free again."""
    reserved = state.steps[event.step].reserved
    if reserved is None:
        return
    usage = event.usage
    if usage is not None:
        tokens: float = usage.input_tokens + usage.output_tokens
        usd = event.charged_usd if event.charged_usd is not None else reserved.cost_usd
    elif isinstance(event, LlmFailed) and not event.is_in_doubt:
        tokens, usd = 0, 0.0
    else:
        tokens, usd = reserved.tokens, reserved.cost_usd
    _settle(state, event.step, tokens, usd or 0.0)


def charge_cut_call(state: JobState, step_id: str) -> None:
    """The attempt ended with a call in flight: nobody knows what that cost, so all of it counts."""
    reserved = state.steps[step_id].reserved
    if reserved is not None:
        _settle(state, step_id, reserved.tokens, reserved.cost_usd or 0.0)


def _settle(state: JobState, step_id: str, tokens: float, usd: float) -> None:
    step = state.steps[step_id]
    assert step.reserved is not None
    for account, _ in accounts_of(state, step_id):
        spent = state.spent[account]
        spent.held_tokens -= step.reserved.tokens
        spent.held_usd -= step.reserved.cost_usd or 0.0
        spent.tokens += int(tokens)
        spent.usd += usd
    step.reserved = None


def budget_exceeded(state: JobState, event: BudgetExceeded) -> None:
    """Fold the event: the step waits until somebody raises the budget."""
    step = state.steps[event.step]
    step.status = "waiting"
    step.waits_for = "budget"
    state.over_budget[event.step] = event.account or JOB


def budget_raised(state: JobState, event: BudgetRaised) -> None:
    """Fold the event."""
    account = event.account or JOB
    budget = state.raised_budgets.get(account) or budget_of(state, account)
    assert budget is not None
    changes: dict[str, Any] = {
        name: getattr(event, name) for name in _LIMITS if getattr(event, name) is not None
    }
    state.raised_budgets[account] = budget.model_copy(update=changes)
    state.signal_seen = max(state.signal_seen, event.signal_id or 0)


def budget_of(state: JobState, account: str) -> BudgetDef | None:
    """An account's limits, as they are now; none where there is no such account."""
    if account in state.raised_budgets:
        return state.raised_budgets[account]
    if account == JOB:
        return state.definition.budget
    definition = state.graph.steps.get(account)
    return None if definition is None else definition.budget

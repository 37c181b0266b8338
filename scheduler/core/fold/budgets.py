"""Budgets: the limits of a job and its steps, what is spent, and what is reserved for calls.

The worst case of a call is reserved before it is sent, so that a limit cannot be exceeded: one
token per byte of the request, plus the longest reply. When the call ends, its actual cost
replaces the reserve. If a call never ends, its worst case counts as spent. Amounts of money are
whole nano-dollars. Prices are left to the caller (`scheduler/budget_gate.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from orc.ledger.events import (
    BudgetExceeded,
    BudgetRaised,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    Reserved,
)
from orc.ledger.values import Limit, Limits
from orc.ledger.wording import limit_text
from orc.scheduler.core.fold.state import JobState, Spent

JOB = ""
"""The account of the job's own budget. The account of a step's budget is the step's id."""


class Shortfall(Struct, frozen=True):
    """A limit that a call does not fit. With `is_held`, it may fit after calls in flight end."""

    account: str
    limit: Limit
    maximum: int
    spent: int
    needed: int
    is_held: bool
    on_exceeded: str

    def message(self) -> str:
        """The shortfall as a sentence for people."""
        whose = f"the budget of step {self.account!r}" if self.account else "the job's budget"
        amounts = (self.maximum, self.spent, self.needed)
        maximum, spent, needed = (limit_text(self.limit, amount) for amount in amounts)
        return f"{whose}: {self.limit} is {maximum}; spent: {spent}; this needs {needed}"


def accounts_of(state: JobState, step_id: str) -> Iterator[tuple[str, Limits]]:
    """The accounts that a call of the step counts on: of the step, its containers, and the job."""
    name: str | None = step_id
    while name is not None:
        budget = state.graph.steps[name].budget
        if budget is not None:
            yield name, state.raised_budgets.get(name) or budget.limits()
        name = state.steps[name].parent
    if state.definition.budget is not None:
        yield JOB, state.raised_budgets.get(JOB) or state.definition.budget.limits()


def has_money_limit(state: JobState, step_id: str) -> bool:
    """Whether a limit in money applies to the step."""
    return any(limits.max_cost_nano_usd is not None for _, limits in accounts_of(state, step_id))


def find_shortfall(
    state: JobState, step_id: str, need: Reserved, *, claims: Iterable[tuple[str, Reserved]] = ()
) -> Shortfall | None:
    """The first limit that a call does not fit; None if it fits all.

    `claims` are the reserves of calls that are admitted but not yet in the state, by step.
    """
    claimed = list(claims)
    for account, limits in accounts_of(state, step_id):
        spent = state.spent.get(account) or Spent()
        others = [
            reserved
            for other, reserved in claimed
            if other != step_id and any(name == account for name, _ in accounts_of(state, other))
        ]
        for limit, maximum in limits.given():
            used, held, needed = _amounts(limit, spent, need)
            held += sum(_amounts(limit, Spent(), reserved)[2] for reserved in others)
            if used + held + needed > maximum:
                is_held = used + needed <= maximum
                return Shortfall(account, limit, maximum, used, needed, is_held, limits.on_exceeded)
    return None


def _amounts(limit: Limit, spent: Spent, need: Reserved) -> tuple[int, int, int]:
    match limit:
        case "max_calls":
            return spent.calls, 0, 1
        case "max_tokens":
            return spent.tokens, spent.held_tokens, need.tokens
    return spent.nano_usd, spent.held_nano_usd, need.cost_nano_usd or 0


def reserve_call(state: JobState, event: LlmRequested) -> None:
    """Fold `llm.requested`: reserve the worst case of the call."""
    step = state.steps[event.step]
    step.reserved = event.reserved or Reserved()
    for account, _ in accounts_of(state, event.step):
        spent = state.spent.setdefault(account, Spent())
        spent.calls += 1
        spent.held_tokens += step.reserved.tokens
        spent.held_nano_usd += step.reserved.cost_nano_usd or 0


def charge_call(state: JobState, event: LlmResponded | LlmFailed) -> None:
    """Fold the end of a call: charge its actual cost, and free the rest of the reserve."""
    reserved = state.steps[event.step].reserved
    if reserved is None:
        return
    usage = event.usage
    if isinstance(event, LlmFailed) and event.is_in_doubt:
        counted = 0 if usage is None else usage.input_tokens + usage.output_tokens
        tokens = max(reserved.tokens, counted)
        nano_usd = max(reserved.cost_nano_usd or 0, event.charged_nano_usd or 0)
    elif usage is not None:
        tokens = usage.input_tokens + usage.output_tokens
        charged = event.charged_nano_usd
        nano_usd = (reserved.cost_nano_usd or 0) if charged is None else charged
    elif isinstance(event, LlmFailed):
        tokens, nano_usd = 0, 0
    else:
        tokens = max(reserved.tokens, event.charged_tokens or 0)
        nano_usd = max(reserved.cost_nano_usd or 0, event.charged_nano_usd or 0)
    _settle(state, event.step, tokens, nano_usd)


def charge_cut_call(state: JobState, step_id: str) -> None:
    """Charge the worst case of a call in flight whose attempt ended: its cost is unknown."""
    reserved = state.steps[step_id].reserved
    if reserved is not None:
        _settle(state, step_id, reserved.tokens, reserved.cost_nano_usd or 0)


def _settle(state: JobState, step_id: str, tokens: int, nano_usd: int) -> None:
    step = state.steps[step_id]
    assert step.reserved is not None
    for account, _ in accounts_of(state, step_id):
        spent = state.spent[account]
        spent.held_tokens -= step.reserved.tokens
        spent.held_nano_usd -= step.reserved.cost_nano_usd or 0
        spent.tokens += tokens
        spent.nano_usd += nano_usd
    step.reserved = None


def budget_exceeded(state: JobState, event: BudgetExceeded) -> None:
    """Fold the event: the step waits until the budget is raised."""
    step = state.steps[event.step]
    step.status = "waiting"
    step.waits_for = "budget"
    state.over_budget[event.step] = event.account or JOB


def budget_raised(state: JobState, event: BudgetRaised) -> None:
    """Fold the event."""
    account = event.account or JOB
    limits = current_limits(state, account)
    assert limits is not None
    state.raised_budgets[account] = replace(
        limits,
        max_calls=limits.max_calls if event.max_calls is None else event.max_calls,
        max_tokens=limits.max_tokens if event.max_tokens is None else event.max_tokens,
        max_cost_nano_usd=limits.max_cost_nano_usd
        if event.max_cost_nano_usd is None
        else event.max_cost_nano_usd,
    )
    state.signal_seen = max(state.signal_seen, event.signal_id or 0)


def current_limits(state: JobState, account: str) -> Limits | None:
    """The current limits of an account; None if the account has no budget."""
    if account in state.raised_budgets:
        return state.raised_budgets[account]
    if account == JOB:
        budget = state.definition.budget
    else:
        step = state.graph.steps.get(account)
        budget = None if step is None else step.budget
    return None if budget is None else budget.limits()

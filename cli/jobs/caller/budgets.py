"""Budgets: checks that prices of limited calls are known, and parses the option --budget."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.providers import targets_of
from orc.ledger.definition import JobDef, StepDef
from orc.ledger.money import NANO_USD_MAX
from orc.ledger.step_names import is_within
from orc.ledger.stored_struct import dump
from orc.ledger.wording import usd_text
from orc.projections.money.prices import PriceTable
from orc.providers.catalogue import facts_of
from orc.scheduler.core.commands import RaiseBudget
from orc.scheduler.core.errors import nearest
from orc.scheduler.core.fold.budgets import JOB, current_limits
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.resolve.known_steps import has_target, known_forms
from orc.scheduler.core.resolve.step_tree import walk
from orc.scheduler.effects.targets import target_rules

_AMOUNT = re.compile(
    r"(?:(?P<step>[^=+]+)=)?\+(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>tokens|calls)?\Z"
)
_DIGITS_MAX = 12


def check_prices(definition: JobDef, prices: PriceTable, environment: Mapping[str, str]) -> None:
    """Raise UsageProblem for a limit in money on a model whose price is unknown.

    A model that is known only when its step is ready is checked before its call.
    """
    rules = target_rules(environment, definition.servers)
    prices = prices.with_servers(definition.servers)
    limited = {name for name, step in walk(definition.steps) if _in_money(step)}
    for name, step in known_forms(definition, rules):
        if not has_target(step) or not (_in_money(definition) or is_within(name, limited)):
            continue
        for target in targets_of(step):
            if prices.find(target.provider, target.model) is None:
                raise UsageProblem(
                    f"step {step.id!r}: a budget in money needs the price of "
                    f"{target.provider}/{target.model}, which is unknown; give it in prices.yaml (of a "
                    "named server: under its `prices`), or limit "
                    "max_tokens or max_calls"
                )


def parse_raise(text: str, state: JobState, *, definition: JobDef | None = None) -> RaiseBudget:
    """The command for `+1.00` (dollars), `+5000tokens` or `+10calls`; `STEP=` names a step's budget.

    With a definition, which the job is about to get, the budgets are those that it sets. Raises
    UsageProblem.
    """
    found = _AMOUNT.match(text.strip())
    if found is None:
        raise UsageProblem(
            f"--budget {text[:80]!r}: must be an amount such as +1.00 (dollars), +5000tokens or "
            "+10calls, or STEP=+1.00 for the budget of a step"
        )
    account = found["step"] or JOB
    steps: Mapping[str, StepDef] = state.graph.steps
    if definition is None:
        limits = current_limits(state, account)
    else:
        steps = dict(walk(definition.steps))
        holder = (
            definition if account == JOB else steps.get(account) or state.graph.steps.get(account)
        )
        budget = None if holder is None else holder.budget
        limits = None if budget is None else budget.limits()
    if limits is None:
        named = [step_id for step_id, step in steps.items() if step.budget is not None]
        whose = f"step {account!r} has" if account else "the job has"
        raise UsageProblem(f"--budget: {whose} no budget{nearest(account, named)}")
    number = found["number"]
    match found["unit"]:
        case "tokens":
            before = _given("max_tokens", limits.max_tokens)
            return RaiseBudget(account, max_tokens=before + _whole(number, "tokens"))
        case "calls":
            before = _given("max_calls", limits.max_calls)
            return RaiseBudget(account, max_calls=before + _whole(number, "calls"))
        case _:
            before = _given("max_cost_usd", limits.max_cost_nano_usd)
            return RaiseBudget(account, max_cost_nano_usd=_raised(before, number))


def _given(name: str, limit: int | None) -> int:
    if limit is None:
        raise UsageProblem(
            f"--budget: the budget has no {name} that could be raised; to set one, amend the job "
            "with --spec"
        )
    return limit


def _whole(number: str, unit: str) -> int:
    if "." in number or len(number) > _DIGITS_MAX:
        raise UsageProblem(f"--budget: must be a whole number of {unit}; got {number[:40]}")
    return int(number)


def _raised(before: int, number: str) -> int:
    """The limit in nano-dollars, raised by a text of US dollars."""
    whole, _, decimals = number.partition(".")
    if len(decimals.rstrip("0")) > 9 or len(whole) > _DIGITS_MAX:
        raise UsageProblem(
            f"--budget: an amount of money has at most nine decimals and {_DIGITS_MAX} digits "
            f"before them; got {number[:40]}"
        )
    after = before + int(whole + decimals[:9].ljust(9, "0"))
    if after > NANO_USD_MAX:
        raise UsageProblem(f"--budget: a budget must be at most {usd_text(NANO_USD_MAX)}")
    return after


def empty_budgets(definition: JobDef) -> Iterator[str]:
    """A warning for each budget of 0 by which no call of a model inside it can be made."""
    steps = list(walk(definition.steps))
    prompts = {name: step for name, step in steps if step.facts.calls_model}
    for account, budget in (
        (JOB, definition.budget),
        *((name, step.budget) for name, step in steps),
    ):
        limits = {} if budget is None else dump(budget)
        for key in (key for key, most in limits.items() if most == 0):
            held = [
                name
                for name, step in prompts.items()
                if (account == JOB or is_within(name, {account}))
                and (key != "max_cost_usd" or _costs(step))
            ]
            if held:
                whose = "the job" if account == JOB else f"step {account!r}"
                yield (
                    f"{whose} has a budget with `{key}: 0`, so that no model can be called in "
                    f"step {held[0]!r}; raise it"
                )


def _costs(step: StepDef) -> bool:
    """Whether the first target of a prompt is known, and takes money."""
    facts = facts_of(step.provider or "")
    return has_target(step) and not (facts.local or facts.is_recorded)


def _in_money(definition: JobDef | StepDef) -> bool:
    return definition.budget is not None and definition.budget.max_cost_usd is not None

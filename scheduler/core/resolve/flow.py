"""Resolves the control flow of steps: conditions, fan-outs, loops, approvals and budgets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

from msgspec.structs import replace

from orc.ledger.definition import (
    ApprovalDef,
    BudgetDef,
    ForEachDef,
    JobDef,
    LoopDef,
    OnUnknown,
    ScoreDef,
    StepDef,
)
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.templates import parse_condition, texts_in
from orc.scheduler.core.spec.base import TemplateText
from orc.scheduler.core.spec.flow import BudgetSpec
from orc.scheduler.core.spec.model import DefaultsSpec, StepSpec
from orc.scheduler.core.spec.references import item_variables


def resolve_flow(step: StepSpec) -> dict[str, Any]:
    """The control flow fields of the step's definition."""
    found: dict[str, Any] = {**_condition(step)}
    limit = step.max_parallel
    if isinstance(limit, TemplateText):
        found["templates"] = {"max_parallel": str(limit)}
        limit = None
    if step.matrix is not None and (step.for_each is not None or texts_in(step.matrix)):
        found["for_each"] = ForEachDef(
            items=step.for_each,
            matrix={name: _plain(values) for name, values in step.matrix.items()},
            name="matrix" if step.for_each is None else step.as_,
            key=step.key,
            max_parallel=limit,
        )
    elif step.for_each is not None:
        found["for_each"] = ForEachDef(
            items=step.for_each, name=step.as_, key=step.key, max_parallel=limit
        )
    elif step.matrix is not None:
        names = list(step.matrix)
        rows = [dict(zip(names, row, strict=True)) for row in product(*step.matrix.values())]
        found["for_each"] = ForEachDef(items=rows, name="matrix", key=step.key, max_parallel=limit)
    if step.repeat is not None:
        one = ForEachDef(items=[None], max_parallel=limit)
        found["for_each"] = replace(found.get("for_each", one), repeat=step.repeat)
    if step.score is not None:
        found["score"] = {
            name: ScoreDef(**score.model_dump(exclude_none=True))
            for name, score in step.score.items()
        }
    if step.loop is not None:
        found["loop"] = LoopDef(
            until=step.loop.until,
            max_iterations=step.loop.max_iterations,
            on_exhausted=step.loop.on_exhausted,
        )
    if step.approval is not None:
        found["approval"] = ApprovalDef(
            message=step.approval.message,
            options=tuple(step.approval.options),
            timeout_s=step.approval.timeout,
            on_timeout=step.approval.on_timeout,
        )
    if step.budget is not None:
        found["budget"] = resolve_budget(step.budget)
    return found


def _plain(values: list[Any] | TemplateText) -> list[Any] | str:
    return str(values) if isinstance(values, TemplateText) else values


def resolve_doubt(step: StepSpec, defaults: DefaultsSpec) -> OnUnknown:
    """What happens after an interrupted attempt. The step's own keys come before the defaults."""
    if step.on_unknown is not None:
        return step.on_unknown
    if step.idempotent is None:
        return defaults.on_unknown or "retry"
    if step.idempotent:
        return "retry"
    return "fail" if defaults.on_unknown == "fail" else "ask"


def resolve_budget(spec: BudgetSpec | None) -> BudgetDef | None:
    """The budget as it is recorded."""
    return None if spec is None else BudgetDef(**spec.model_dump())


def unbounded_prompts(job: JobDef) -> Iterator[str]:
    """The whole ids of prompts without `max_tokens` that are under a budget for tokens or money."""
    yield from _unbounded(job.steps, counts=_counts_tokens(job.budget))


def _unbounded(steps: Iterable[StepDef], around: str = "", *, counts: bool) -> Iterator[str]:
    for step in steps:
        is_counted = counts or _counts_tokens(step.budget)
        given = {**step.params, **step.templates.get("params", {})}
        if is_counted and step.facts.writes_text and "max_tokens" not in given:
            yield f"{around}{step.id}"
        yield from _unbounded(step.steps, f"{around}{step.id}/", counts=is_counted)


def oversized_prompts(job: JobDef) -> Iterator[tuple[str, int, int]]:
    """Prompts whose reply alone may be larger than a budget around them: whole id, tokens, budget."""
    yield from _oversized(job.steps, limit=_token_limit(job.budget, None))


def _oversized(
    steps: Iterable[StepDef], around: str = "", *, limit: int | None
) -> Iterator[tuple[str, int, int]]:
    for step in steps:
        own = _token_limit(step.budget, limit)
        reply = step.params.get("max_tokens")
        if own is not None and step.facts.writes_text and isinstance(reply, int) and reply >= own:
            yield f"{around}{step.id}", reply, own
        yield from _oversized(step.steps, f"{around}{step.id}/", limit=own)


def _token_limit(budget: BudgetDef | None, around: int | None) -> int | None:
    """The smaller limit. A limit of 0 is meant: no call is to be sent before it is raised."""
    found = None if budget is None else budget.max_tokens
    return min(filter(None, (found, around)), default=None)


def _counts_tokens(budget: BudgetDef | None) -> bool:
    return budget is not None and (budget.max_tokens is not None or budget.max_cost_usd is not None)


def _condition(step: StepSpec) -> dict[str, Any]:
    if step.if_ is None:
        return {}
    try:
        expression = parse_condition(step.if_)
    except TemplateError:
        # The spec's checks report this problem.
        return {}
    of_items = set(item_variables(step))
    runs_after = "any" if expression.calls - {"success()"} else "success"
    if any(reference.path[0] in of_items for reference in expression.references):
        return {"item_condition": expression.source, "runs_after": runs_after}
    return {"condition": expression.source, "runs_after": runs_after}

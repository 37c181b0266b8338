"""The way through the graph, resolved: conditions, fan-outs, loops and decisions."""

from __future__ import annotations

from itertools import product
from typing import Any

from scheduler.core.errors import TemplateError
from scheduler.core.references import item_variables
from scheduler.core.resolved import ApprovalDef, ForEachDef, LoopDef
from scheduler.core.spec_model import StepSpec
from scheduler.core.templates import parse_condition


def resolve_flow(step: StepSpec) -> dict[str, Any]:
    """The fields of the step's definition that say when, how often and after whose word it runs."""
    found: dict[str, Any] = {**_condition(step)}
    if step.for_each is not None:
        found["for_each"] = ForEachDef(
            items=step.for_each, name=step.as_, key=step.key, max_parallel=step.max_parallel
        )
    elif step.matrix is not None:
        names = list(step.matrix)
        rows = [dict(zip(names, row, strict=True)) for row in product(*step.matrix.values())]
        found["for_each"] = ForEachDef(
            items=rows, name="matrix", key=step.key, max_parallel=step.max_parallel
        )
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
    return found


def _condition(step: StepSpec) -> dict[str, Any]:
    if step.if_ is None:
        return {}
    try:
        expression = parse_condition(step.if_)
    except TemplateError:
        # The checks have said so.
        return {}
    of_items = set(item_variables(step))
    if any(reference.path[0] in of_items for reference in expression.references):
        return {"item_condition": expression.source}
    runs_after = "any" if expression.calls - {"success()"} else "success"
    return {"condition": expression.source, "runs_after": runs_after}

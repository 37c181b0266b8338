"""`orc plan`: prints what a run would do, and what it would cost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from orc.cli.ledger_access import find_places
from orc.cli.options import (
    Database,
    EnvFile,
    Inputs,
    InputsFile,
    Json,
    Model,
    Provider,
    SpecFile,
    Until,
)
from orc.cli.parameters import Option
from orc.cli.terminal.tables.columns import id_column, number_column, text_column
from orc.cli.terminal.tables.table import put_table
from orc.cli.terminal.text import put, put_json, safe, say
from orc.ledger.wording import cost_text, count_text, duration_text

if TYPE_CHECKING:
    from orc.cli.jobs.plan import Plan, PlannedStep

_NAMED_MAX = 5


def command(
    spec: SpecFile,
    inputs: Inputs = None,
    inputs_file: InputsFile = None,
    provider: Provider = None,
    model: Model = None,
    exit_code: Annotated[
        bool,
        Option("--exit-code", help="Exit 1 if a new or changed step would run."),
    ] = False,
    until: Until = None,
    database: Database = None,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> int:
    """Show what a run would do, why, and what it would cost.

    Nothing runs and nothing is written. The spec is compared with the latest job of its project.
    Conditions, values and caches are asked as the run asks them; what depends on the outcome of a
    step that runs is unknown. Expected cost and time are the mean of earlier runs of the same step
    and model.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.jobs.plan import plan_run
    from orc.cli.terminal.given_submission import given_submission

    places = find_places(database)
    submission = given_submission(
        spec,
        inputs=inputs,
        inputs_file=inputs_file,
        provider=provider,
        model=model,
        until=until,
        prices=places.prices,
    )
    found = plan_run(
        submission, os.environ, places, on_notice=lambda text: say(f"orc: {safe(text)}")
    )
    code = 1 if exit_code and found.runs_anything_new else 0
    if as_json:
        put_json(plan_value(found))
        return code
    against = f", compared with {found.against}" if found.against else ", which has not run before"
    put(f"{safe(found.project)}: {count_text(len(found.steps), 'step')}{against}")
    put()
    rows = [
        (
            step.step,
            step.what,
            ", ".join(step.needs),
            step.why,
            _cost(step.expected_cost_nano_usd),
            duration_text(step.expected_duration_s),
            _cost(step.worst_cost_nano_usd),
        )
        for step in found.steps
    ]
    heads = (
        id_column("STEP"),
        text_column("WHAT", drop=2),
        text_column("NEEDS", drop=3),
        "WHY",
        number_column("EXPECTED"),
        number_column("TIME", drop=1),
        number_column("WORST"),
    )
    put_table(heads, rows)
    put()
    for line in _expectations(found):
        put(line)
    if found.hooks:
        put(f"hooks: {', '.join(found.hooks)}")
    return code


def _cost(nano_usd: int | None) -> str:
    return "-" if nano_usd is None else cost_text(nano_usd)


def _expectations(plan: Plan) -> Iterator[str]:
    """What the run is expected to cost and can cost at most; for what is unknown, why it is."""
    new = [step.step for step in plan.steps if step.expected_cost_nano_usd is None]
    if new:
        have = "has" if len(new) == 1 else "have"
        yield f"expected cost: known when {_some(new)} {have} run once"
    elif plan.expected_duration_s is None:
        yield f"expected {cost_text(plan.expected_cost_nano_usd)}, in unknown time"
    else:
        took = duration_text(plan.expected_duration_s)
        yield f"expected {cost_text(plan.expected_cost_nano_usd)} in {took}"
    if plan.worst_cost_nano_usd is not None:
        yield f"at worst {cost_text(plan.worst_cost_nano_usd)}"
        return
    by_reason: dict[str, list[str]] = {}
    for step in plan.steps:
        if step.worst_cost_nano_usd is None:
            by_reason.setdefault(step.unbounded or "", []).append(step.step)
    reasons = "; ".join(f"{_some(steps)}: {safe(why)}" for why, steps in by_reason.items())
    yield f"no worst cost ({reasons}); a budget in the spec sets one"


def _some(steps: list[str]) -> str:
    named = ", ".join(map(safe, steps[:_NAMED_MAX]))
    more = len(steps) - _NAMED_MAX
    return f"{named} and {count_text(more, 'more step')}" if more > 0 else named


def plan_value(plan: Plan) -> dict[str, Any]:
    """The plan as a JSON value."""
    return {
        "project": plan.project,
        "against": plan.against,
        "runs_anything_new": plan.runs_anything_new,
        "expected_cost_usd": plan.expected_cost_usd,
        "expected_duration_s": plan.expected_duration_s,
        "worst_cost_usd": plan.worst_cost_usd,
        "hooks": list(plan.hooks),
        "steps": [_step_value(step) for step in plan.steps],
    }


def _step_value(step: PlannedStep) -> dict[str, Any]:
    return {
        "step": step.step,
        "what": step.what,
        "needs": list(step.needs),
        "change": step.change,
        "why": step.why,
        "expected_cost_usd": step.expected_cost_usd,
        "expected_duration_s": step.expected_duration_s,
        "earlier_runs": step.earlier_runs,
        "worst_cost_usd": step.worst_cost_usd,
        "unbounded": step.unbounded,
        "executor": step.executor,
        "does": step.does,
        "items": None if step.items is None else step.items._asdict(),
    }

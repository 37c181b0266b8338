"""`orc plan`: prints what a run would do, and what it would cost."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from orc.cli.jobs.plan import Plan, PlannedStep, plan_run
from orc.cli.ledger_access import find_places
from orc.cli.options import (
    Database,
    Inputs,
    InputsFile,
    Json,
    Model,
    Provider,
    SpecFile,
    Until,
)
from orc.cli.terminal.given_submission import given_submission
from orc.cli.terminal.tables.columns import id_column, number_column, text_column
from orc.cli.terminal.tables.table import put_table
from orc.cli.terminal.text import put, put_json, safe
from orc.ledger.wording import cost_text, count_text, duration_text


def command(
    spec: SpecFile,
    inputs: Inputs = None,
    inputs_file: InputsFile = None,
    provider: Provider = None,
    model: Model = None,
    exit_code: Annotated[
        bool,
        typer.Option("--exit-code", help="Exit 1 if a new or changed step would run."),
    ] = False,
    until: Until = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Show what a run would do, why, and what it would cost.

    Nothing runs and nothing is written. The spec is compared with the latest job of its project.
    Conditions, values and caches are asked as the run asks them; what depends on the outcome of a
    step that runs is unknown. Expected cost and time are the mean of earlier runs of the same step
    and model.
    """
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
    found = plan_run(submission, os.environ, places)
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
            cost_text(step.expected_cost_nano_usd),
            duration_text(step.expected_duration_s),
            cost_text(step.worst_cost_nano_usd),
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
    took = duration_text(found.expected_duration_s) or "unknown time"
    put(
        f"expected {cost_text(found.expected_cost_nano_usd)} in {took}, "
        f"at worst {cost_text(found.worst_cost_nano_usd)}"
    )
    if found.hooks:
        put(f"hooks: {', '.join(found.hooks)}")
    return code


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
        "executor": step.executor,
        "does": step.does,
        "items": None if step.items is None else step.items._asdict(),
    }

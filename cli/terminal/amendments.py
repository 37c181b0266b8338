"""Prints which steps an amended job or a fork will run, and why."""

from __future__ import annotations

from orc.cli.terminal.text import put_json, safe, say
from orc.ledger import JobId
from orc.ledger.wording import count_text
from orc.scheduler.core.fold.compare import Plan

SHOWN_MAX = 40


def say_plan(job_id: JobId, plan: Plan) -> None:
    """Print on stderr what an amended job will run, and why."""
    if not plan.runs and not plan.removed:
        kept = count_text(len(plan.kept), "step keeps its result", "steps keep their results")
        say(f"{job_id}: nothing runs again: {kept}")
        _say_rescored(plan)
        return
    say(
        f"{job_id} amended: {count_text(len(plan.runs), 'step')} to run, "
        f"{len(plan.kept)} keep their results{_removed(plan)}"
    )
    say_runs(plan)
    _say_rescored(plan)


def say_runs(plan: Plan) -> None:
    """Print on stderr a line for each step that will run, with the reason."""
    for step_id, why in list(plan.runs.items())[:SHOWN_MAX]:
        say(f"  {step_id}: {safe(why)}")
    if len(plan.runs) > SHOWN_MAX:
        say(f"  and {len(plan.runs) - SHOWN_MAX} more")


def put_plan(job_id: JobId, plan: Plan) -> None:
    """Print the plan as a JSON object on stdout."""
    put_json(
        {
            "event": "amended",
            "job_id": job_id,
            "runs": dict(plan.runs),
            "kept": list(plan.kept),
            "removed": list(plan.removed),
            "rescored": list(plan.rescored),
        }
    )


def _say_rescored(plan: Plan) -> None:
    if plan.rescored:
        names = ", ".join(plan.rescored[:5]) + ", ..." * (len(plan.rescored) > 5)
        say(f"  scored again, from the results that there are: {safe(names)}")


def _removed(plan: Plan) -> str:
    if not plan.removed:
        return ""
    names = ", ".join(plan.removed[:5]) + ", ..." * (len(plan.removed) > 5)
    return f", {len(plan.removed)} removed ({names})"

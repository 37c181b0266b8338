"""A job and its steps as JSON values, for `orc show --json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orc.cli.assess.lines import assessment_values
from orc.cli.ledger_access import JobTables
from orc.cli.terminal.job_cost import with_whole_cost
from orc.cli.terminal.job_doubts import JobDoubts, read_doubts
from orc.cli.terminal.job_folder import displayed_folder, kept_work
from orc.cli.terminal.job_notes import removals_of
from orc.ledger.files.project_places import place_of
from orc.ledger.kinds import NOT_LIVE
from orc.ledger.transport.imported import imported
from orc.projections.folds.tolerated import Tolerated
from orc.projections.scores.overview import ScoreMean, has_scores, read_means_by_step
from orc.projections.tables.circuits import CircuitRow
from orc.projections.tables.job_view import JobView, read_circuits
from orc.projections.tables.rows import StepRow
from orc.projections.tables.status import step_status
from orc.projections.tables.step_notes import step_note

_IN_JOB = tuple(
    "calls_in_doubt in_doubt_usd in_doubt_nano_usd in_doubt_unpriced runs_dir position".split()
)


def scores_of(tables: JobTables, view: JobView) -> dict[str, list[ScoreMean]]:
    """The means of the scores of each step, by its name."""
    if not has_scores(tables.connection, tables.job_id):
        return {}
    inside = {step.name: view.inside(step.name) for step in view.steps}
    return read_means_by_step(tables.connection, tables.job_id, inside)


def job_value(tables: JobTables, view: JobView, status: str) -> dict[str, Any]:
    """The job with its steps as a JSON value."""
    dropped, scores = dropped_parameters(tables), scores_of(tables, view)
    kept = kept_work(folder_of(tables, view), view.steps if tables.at is None else ())
    job = {key: value for key, value in view.job._asdict().items() if key not in _IN_JOB}
    return {
        **with_whole_cost({**job, "status": status}),
        "project": view.job.name,
        "folder": str(folder_of(tables, view)),
        "tolerated_failures": view.all_tolerated.value(),
        **assessment_values(tables.connection, tables.job_id),
        "in_doubt": doubts_of(tables, status).value(),
        "open_circuits": [
            {
                "target": circuit.name,
                "opened_at": circuit.opened_at,
                "failures": circuit.failures,
                "failure": circuit.failure,
            }
            for circuit in open_circuits(tables)
        ],
        "batches": [batch._asdict() for batch in view.batches.values()],
        "removals": removals_of(tables.connection, tables.job_id) if tables.at is None else [],
        "imported": imported(tables.connection, tables.job_id) if tables.at is None else None,
        "at": tables.at,
        "steps": [
            {
                **step_value(
                    view,
                    step,
                    dropped.get(step.step_id),
                    kept.get(step.name),
                    is_live=status not in NOT_LIVE,
                ),
                "scores": [mean.value() for mean in scores.get(step.name, ())],
            }
            for step in view.steps
        ],
    }


def step_value(
    view: JobView, step: StepRow, dropped: str | None, kept: Path | None, *, is_live: bool
) -> dict[str, Any]:
    """A step as a JSON value; `kept` is the working folder that was kept of it."""
    tolerated = view.tolerated.get(step.name, Tolerated())
    return with_whole_cost(
        {
            "step": step.name,
            "status": step_status(view, step, is_live=is_live),
            "kind": step.kind,
            "attempts": step.attempts,
            "duration_s": step.duration_s,
            "tokens": step.tokens,
            "used": _used_value(view, step),
            "note": step_note(view, step, is_live=is_live),
            "failure_kind": step.failure_kind,
            "tolerated": bool(step.tolerated),
            "tolerated_failures": tolerated.value(),
            "warning": step.warning,
            "needs": list(step.needed),
            "cost_usd": step.cost_usd,
            "cost_nano_usd": step.cost_nano_usd,
            "calls_unpriced": step.calls_unpriced,
            "reused_from": step.reused_from,
            "dropped": dropped,
            "work_folder": None if kept is None else str(kept),
            "parent": step.parent,
            "item_key": step.item_key,
            "executor": step.executor,
            "host": step.host,
            "queued_s": step.queued_s,
        }
    )


def _used_value(view: JobView, step: StepRow) -> dict[str, Any]:
    """What the step used together with the steps inside it."""
    return with_whole_cost(view.usage[step.name].value())


def doubts_of(tables: JobTables, status: str) -> JobDoubts:
    """What is in doubt of a job with that status."""
    is_interrupted = status in NOT_LIVE
    return read_doubts(tables.connection, tables.job_id, is_interrupted=is_interrupted)


def folder_of(tables: JobTables, view: JobView) -> Path:
    """The run folder, as it is shown."""
    if tables.at is not None:
        return place_of(str(view.job.runs_dir), tables.path) / tables.job_id
    return displayed_folder(tables.connection, tables.path, tables.job_id, str(view.job.runs_dir))


def open_circuits(tables: JobTables) -> list[CircuitRow]:
    """The circuits of the job that are open."""
    found = read_circuits(tables.connection, tables.job_id)
    return [circuit for circuit in found if circuit.status == "open"]


def dropped_parameters(tables: JobTables) -> dict[str, str]:
    """The parameters that were not sent to a step's providers, by `step_id`."""
    return dict(
        tables.connection.execute(
            "SELECT step_id, group_concat(DISTINCT dropped) FROM llm_calls "
            "WHERE job_id = ? AND dropped IS NOT NULL GROUP BY step_id",
            (tables.job_id,),
        ).fetchall()
    )

"""`orc show`: a job and its steps, as text or as JSON. Starts fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from orc.cli.doubts import JobDoubts, read_doubts
from orc.cli.moments import JobTables
from orc.cli.terminal.cells import brief_cost, seconds, with_whole_cost
from orc.cli.terminal.inside import fold_inside
from orc.cli.terminal.job_notes import note_lines, removals, shown_folder
from orc.cli.terminal.text import put, put_json, safe, table
from orc.ledger.transport.imported import imported
from orc.projections.money.wording import cost_text
from orc.projections.tables.job_view import JobView, read_circuits, read_view
from orc.projections.tables.rows import CircuitRow, StepRow

_ASKED_MAX = 20
_IN_JOB = ("calls_in_doubt", "in_doubt_usd", "in_doubt_unpriced", "runs_dir")


def show_job(tables: JobTables, *, is_all: bool, graph: bool, timeline: bool, as_json: bool) -> int:
    """Print the job with its steps; or its graph and its timeline, where those are asked for."""
    view = read_view(tables.connection, tables.job_id)
    status = tables.status(view.job.status)
    if as_json:
        put_json(_value(tables, view, status))
        return 0
    put(f"{tables.job_id}  {safe(view.job.name)}  {status}")
    if graph or timeline:
        _put_pictures(tables, view, status, graph=graph, timeline=timeline)
        return 0
    _put_head(tables, view, status)
    _put_steps(tables, view, is_all=is_all)
    if tables.at is None:
        _put_next(view, status)
    return 0


def _put_pictures(
    tables: JobTables, view: JobView, status: str, *, graph: bool, timeline: bool
) -> None:
    from orc.cli.terminal.text import is_plain_terminal, terminal_width
    from orc.projections import text_graph
    from orc.projections.history.timeline import read_timeline
    from orc.projections.pictures.nodes import nodes_of_view
    from orc.projections.pictures.timeline_text import text_timeline
    from orc.scheduler.clock import Clock

    width, is_plain = terminal_width(), is_plain_terminal()
    if graph:
        put()
        nodes = nodes_of_view(view, is_live=status != "interrupted")
        put(text_graph(nodes, width=width, is_plain=is_plain))
    if timeline:
        put()
        now = tables.said_at or Clock().recorded_at()
        is_live = status != "interrupted"
        found = read_timeline(tables.connection, view, now=now, up_to=tables.at, is_live=is_live)
        put(text_timeline(found, width=width, is_plain=is_plain))


def _put_head(tables: JobTables, view: JobView, status: str) -> None:
    job = view.job
    put(f"  spec       {safe(job.spec_file)}, {safe(job.provider)}/{safe(job.model)}")
    put(f"  submitted  {job.submitted_at}")
    if job.forked_from:
        put(f"  forked     from {job.forked_from}")
    if job.finished_at:
        put(f"  finished   {job.finished_at} ({seconds(job.duration_s)})")
    put(
        f"  used       {job.calls} calls, {job.input_tokens} tokens in, "
        f"{job.output_tokens} out, cost {cost_text(job.cost_usd, job.calls_unpriced)}"
    )
    for line in _doubts(tables, status).lines():
        put(f"  in doubt   {line}")
    put(f"  folder     {safe(_folder(tables, view))}")
    if tables.at is None:
        for label, line in note_lines(tables.connection, tables.job_id):
            put(f"  {label:<10} {safe(line, width=200)}")
    for circuit in _open_circuits(tables):
        why = f"{circuit.failures} failures in a row, the last: {safe(circuit.failure, width=80)}"
        put(f"  circuit    {safe(circuit.name)} is open since {circuit.opened_at[11:19]}: {why}")
    if job.failure:
        put(f"  failure    {safe(job.failure)}")


def _put_steps(tables: JobTables, view: JobView, *, is_all: bool) -> None:
    dropped = _dropped(tables)
    rows = [(step.name, step.status, step, step.parent) for step in view.steps]
    shown, hidden = fold_inside(rows, is_all=is_all)
    put()
    put(
        table(
            ("STEP", "STATUS", "KIND", "ATTEMPTS", "TIME", "TOKENS", "COST", "NOTE"),
            [_cells(step, dropped.get(step.step_id)) for _, _, step, _ in shown],
        )
    )
    if hidden:
        put(f"and {hidden:,} more inside these: orc show {tables.job_id} --all")


def _put_next(view: JobView, status: str) -> None:
    job_id = view.job.job_id
    if status == "waiting":
        for step in _asking(view.steps):
            put()
            put(f"{safe(step.name)} asks: {safe(step.question, width=300)}")
            put(f"next: orc approve {job_id} '{safe(step.name)}'    or orc reject")
    if status in ("failed", "interrupted", "cancelled", "waiting"):
        put()
        put(f"next: orc resume {job_id}")


def _asking(steps: Sequence[StepRow]) -> list[StepRow]:
    asking = [
        step
        for step in steps
        if step.status == "waiting" and step.question is not None and step.decision is None
    ]
    return asking[:_ASKED_MAX]


def _cells(step: StepRow, dropped: str | None) -> tuple[object, ...]:
    return (
        step.name,
        step.status,
        step.kind,
        step.attempts,
        seconds(step.duration_s),
        step.tokens or "",
        brief_cost(step.cost_usd, step.calls_unpriced),
        "; ".join(filter(None, (_note(step), f"not sent: {dropped}" if dropped else ""))),
    )


def _note(step: StepRow) -> str:
    """What a person should know of the step: how it failed, or where its result is from."""
    reused = ""
    if step.reused_from is not None:
        reused = f"from {step.reused_from.partition('/')[0]} ({step.reused})"
    return step.failure or step.skip_reason or reused


def _value(tables: JobTables, view: JobView, status: str) -> dict[str, Any]:
    """All of it as JSON."""
    dropped = _dropped(tables)
    job = {key: value for key, value in asdict(view.job).items() if key not in _IN_JOB}
    return {
        **with_whole_cost({**job, "status": status}),
        "project": view.job.name,
        "folder": str(_folder(tables, view)),
        "in_doubt": _doubts(tables, status).value(),
        "open_circuits": [
            {
                "target": circuit.name,
                "opened_at": circuit.opened_at,
                "failures": circuit.failures,
                "failure": circuit.failure,
            }
            for circuit in _open_circuits(tables)
        ],
        "removals": removals(tables.connection, tables.job_id) if tables.at is None else [],
        "imported": imported(tables.connection, tables.job_id) if tables.at is None else None,
        "at": tables.at,
        "steps": [_step_value(step, dropped.get(step.step_id)) for step in view.steps],
    }


def _step_value(step: StepRow, dropped: str | None) -> dict[str, Any]:
    return with_whole_cost(
        {
            "step": step.name,
            "status": step.status,
            "kind": step.kind,
            "attempts": step.attempts,
            "duration_s": step.duration_s,
            "tokens": step.tokens,
            "note": _note(step),
            "failure_kind": step.failure_kind,
            "needs": list(step.needed),
            "cost_usd": step.cost_usd,
            "calls_unpriced": step.calls_unpriced,
            "reused_from": step.reused_from,
            "dropped": dropped,
            "parent": step.parent,
        }
    )


def _doubts(tables: JobTables, status: str) -> JobDoubts:
    is_interrupted = status == "interrupted"
    return read_doubts(tables.connection, tables.job_id, is_interrupted=is_interrupted)


def _folder(tables: JobTables, view: JobView) -> object:
    if tables.at is not None:
        return f"{view.job.runs_dir}/{tables.job_id}"
    return shown_folder(tables.connection, tables.path, tables.job_id, str(view.job.runs_dir))


def _open_circuits(tables: JobTables) -> list[CircuitRow]:
    found = read_circuits(tables.connection, tables.job_id)
    return [circuit for circuit in found if circuit.status == "open"]


def _dropped(tables: JobTables) -> dict[str, str]:
    """What the providers of each step were not sent, by the step's key."""
    return dict(
        tables.connection.execute(
            "SELECT step_id, group_concat(DISTINCT dropped) FROM llm_calls "
            "WHERE job_id = ? AND dropped IS NOT NULL GROUP BY step_id",
            (tables.job_id,),
        ).fetchall()
    )

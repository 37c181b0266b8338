"""Commands that look at one job and change nothing: show, tail."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import Database, Job, Json, StepFilter, live_status, read_ledger, read_tables

if TYPE_CHECKING:
    import sqlite3

    from ledger import Recorded

_FOLLOW_S = 0.25
_ENDINGS = ("job.succeeded", "job.failed", "job.cancelled", "job.interrupted")


def show(
    job: Job,
    database: Database = None,
    events: Annotated[bool, typer.Option("--events", "-e", help="Show the events.")] = False,
    files: Annotated[bool, typer.Option("--files", "-f", help="Show the files.")] = False,
    is_all: Annotated[
        bool, typer.Option("--all", help="Also every item and round, however many there are.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Show one job: its steps, or its events, or its files."""
    if events:
        return _show_events(job, database, as_json=as_json)
    from ledger import find_job

    with read_tables(database) as (connection, path):
        job_id = find_job(connection, job, path=path)
        if files:
            from cli.shown_files import show_files

            return show_files(connection, job_id, as_json=as_json)
        return _show_steps(connection, path, job_id, is_all=is_all, as_json=as_json)


def tail(
    job: Job,
    database: Database = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as events come.")] = False,
    type_: Annotated[
        str | None, typer.Option("--type", help="Only this type, or types that begin so.")
    ] = None,
    step: StepFilter = None,
    as_json: Json = False,
) -> int:
    """Print a job's events; with -f, go on until the job stops."""
    from ledger import has_owner

    with read_ledger(database) as ledger:
        job_id = ledger.find_job(job)
        _check_step(ledger.connection, job_id, step)
        version = 0
        ended = False
        while True:
            owned = has_owner(ledger.path, job_id)
            for recorded in ledger.read_stream(job_id, after=version):
                version = recorded.version
                ended = recorded.event.type in _ENDINGS
                if _wanted(recorded, type_, step):
                    _put_event(recorded, as_json=as_json)
            if not follow or ended or not owned:
                return 0
            time.sleep(_FOLLOW_S)


def _check_step(connection: sqlite3.Connection, job_id: str, step: str | None) -> None:
    from cli.submission import UsageProblem
    from scheduler.core.errors import nearest

    rows = connection.execute("SELECT name FROM steps WHERE job_id = ?", (job_id,)).fetchall()
    names = {row[0] for row in rows}
    if step is not None and step not in names:
        raise UsageProblem(f"{job_id} has no step {step!r}{nearest(step, names)}")


def _wanted(recorded: Recorded, type_: str | None, step: str | None) -> bool:
    event = recorded.event
    if step is not None and getattr(event, "step", None) != step:
        return False
    return type_ is None or event.type == type_ or event.type.startswith(f"{type_}.")


def _show_events(job: str, database: Path | None, *, as_json: bool) -> int:
    with read_ledger(database) as ledger:
        for recorded in ledger.read_stream(ledger.find_job(job)):
            _put_event(recorded, as_json=as_json)
    return 0


def _put_event(recorded: Recorded, *, as_json: bool) -> None:
    from cli.text import put, safe
    from projections.jsonl import event_line, event_object

    if as_json:
        put(event_line(recorded), flush=True)
        return
    shown = event_object(recorded)
    place = f"{recorded.version:>5}  {recorded.recorded_at[11:23]}  {recorded.event.type:<16}"
    step = shown.get("step", "")
    attempt = f" {shown['attempt']}" if "attempt" in shown else ""
    rest = {
        key: value
        for key, value in shown.items()
        if key not in ("type", "job_id", "timestamp", "seq", "hash", "step", "attempt")
    }
    details = "  ".join(f"{key}={_brief(key, value)}" for key, value in rest.items())
    put(safe(f"{place}  {step}{attempt}  {details}".rstrip(), width=200), flush=True)


def _brief(key: str, value: Any) -> str:
    if isinstance(value, dict) and "sha256" in value:
        return f"{value['sha256'][:12]}..."
    if key.endswith("sha256"):
        return f"{value[:12]}..."
    if isinstance(value, dict):
        value = value.get("value", value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _show_steps(
    connection: sqlite3.Connection, path: Path, job_id: str, *, is_all: bool, as_json: bool
) -> int:
    from cli.cells import brief_cost, seconds, with_whole_cost
    from cli.doubts import read_doubts
    from cli.inside import fold_inside
    from cli.notes import note_lines, removals, shown_folder
    from cli.text import put, put_json, safe, table
    from ledger.imports import imported
    from projections.money import cost_text

    names = [row[1] for row in connection.execute("PRAGMA table_info(jobs)")]
    job = dict(
        zip(
            names,
            connection.execute("SELECT * FROM jobs WHERE job_id = ?", (job_id,)).fetchone(),
            strict=True,
        )
    )
    job["status"] = live_status(path)(job_id, job["status"])
    rows = connection.execute(
        "SELECT name, status, kind, attempts, duration_s, input_tokens + output_tokens, "
        "coalesce(failure, skip_reason, 'from ' || substr(reused_from, 1, instr(reused_from, '/') "
        "- 1) || ' (' || reused || ')', ''), failure_kind, needs, cost_usd, calls_unpriced, "
        "reused_from, (SELECT group_concat(DISTINCT dropped) FROM llm_calls WHERE "
        "llm_calls.step_id = steps.step_id), parent FROM steps "
        "WHERE job_id = ? AND status <> 'removed' ORDER BY position",
        (job_id,),
    ).fetchall()
    circuits = connection.execute(
        "SELECT name, opened_at, failures, failure FROM circuits "
        "WHERE job_id = ? AND status = 'open' ORDER BY name",
        (job_id,),
    ).fetchall()
    folder = shown_folder(connection, path, job_id, job.pop("runs_dir"))
    doubts = read_doubts(connection, job_id, is_interrupted=job["status"] == "interrupted")
    for column in ("calls_in_doubt", "in_doubt_usd", "in_doubt_unpriced"):
        del job[column]
    if as_json:
        fields = ("step", "status", "kind", "attempts", "duration_s", "tokens", "note",
                  "failure_kind", "needs", "cost_usd", "calls_unpriced", "reused_from",
                  "dropped", "parent")  # fmt: skip
        steps = [with_whole_cost(dict(zip(fields, row, strict=True))) for row in rows]
        for step in steps:
            step["needs"] = step["needs"].split(", ") if step["needs"] else []
        opened = [
            dict(zip(("target", "opened_at", "failures", "failure"), row, strict=True))
            for row in circuits
        ]
        put_json(
            {
                **with_whole_cost(job),
                "project": job["name"],
                "folder": str(folder),
                "in_doubt": doubts.value(),
                "open_circuits": opened,
                "removals": removals(connection, job_id),
                "imported": imported(connection, job_id),
                "steps": steps,
            }
        )
        return 0
    put(f"{job_id}  {safe(job['name'])}  {job['status']}")
    put(f"  spec       {safe(job['spec_file'])}, {safe(job['provider'])}/{safe(job['model'])}")
    put(f"  submitted  {job['submitted_at']}")
    if job["forked_from"]:
        put(f"  forked     from {job['forked_from']}")
    if job["finished_at"]:
        put(f"  finished   {job['finished_at']} ({seconds(job['duration_s'])})")
    cost = cost_text(job["cost_usd"], job["calls_unpriced"])
    put(
        f"  used       {job['calls']} calls, {job['input_tokens']} tokens in, "
        f"{job['output_tokens']} out, cost {cost}"
    )
    for line in doubts.lines():
        put(f"  in doubt   {line}")
    put(f"  folder     {safe(folder)}")
    for label, line in note_lines(connection, job_id):
        put(f"  {label:<10} {safe(line, width=200)}")
    for target, opened_at, failures, failure in circuits:
        why = f"{failures} failures in a row, the last: {safe(failure, width=80)}"
        put(f"  circuit    {safe(target)} is open since {opened_at[11:19]}: {why}")
    if job["failure"]:
        put(f"  failure    {safe(job['failure'])}")
    shown, hidden = fold_inside(rows, is_all=is_all)
    put()
    put(
        table(
            ("STEP", "STATUS", "KIND", "ATTEMPTS", "TIME", "TOKENS", "COST", "NOTE"),
            [
                (*row[:4], seconds(row[4]), row[5] or "", brief_cost(*row[9:11]), _note(row))
                for row in shown
            ],
        )
    )
    if hidden:
        put(f"and {hidden:,} more inside these: orc show {job_id} --all")
    if job["status"] == "waiting":
        for name, question in connection.execute(
            "SELECT name, question FROM steps WHERE job_id = ? AND status = 'waiting' "
            "AND question IS NOT NULL AND decision IS NULL ORDER BY position LIMIT 20",
            (job_id,),
        ):
            put()
            put(f"{safe(name)} asks: {safe(question, width=300)}")
            put(f"next: orc approve {job_id} '{safe(name)}'    or orc reject")
    if job["status"] in ("failed", "interrupted", "cancelled", "waiting"):
        put()
        put(f"next: orc resume {job_id}")
    return 0


def _note(row: tuple[Any, ...]) -> str:
    """What a person should know of the step: how it failed, and what its providers were not sent."""
    dropped = f"not sent: {row[12]}" if row[12] else ""
    return "; ".join(filter(None, (row[6], dropped)))

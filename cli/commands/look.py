"""Commands that look at one job and change nothing: show, tail."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import At, Database, Job, Json, StepFilter, read_ledger

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
    graph: Annotated[bool, typer.Option("--graph", "-g", help="Show the graph.")] = False,
    timeline: Annotated[
        bool, typer.Option("--timeline", "-t", help="Show where the time went.")
    ] = False,
    at: At = None,
    is_all: Annotated[
        bool, typer.Option("--all", help="Also every item and round, however many there are.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Show one job: its steps, or its events, files, graph or timeline; now or at an earlier event."""
    if events:
        return _show_events(job, database, up_to=at, as_json=as_json)
    from cli.moments import read_job_at

    with read_job_at(database, job, at) as tables:
        if files:
            from cli.shown_files import show_files

            return show_files(tables.connection, tables.job_id, as_json=as_json)
        from cli.showing import show_job

        return show_job(tables, is_all=is_all, graph=graph, timeline=timeline, as_json=as_json)


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


def _show_events(job: str, database: Path | None, *, up_to: int | None, as_json: bool) -> int:
    with read_ledger(database) as ledger:
        for recorded in ledger.read_stream(ledger.find_job(job)):
            if up_to is not None and recorded.version > up_to:
                break
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

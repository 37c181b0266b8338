"""`orc show`: one job, and nothing is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orc.cli.options import At, Database, Job, Json, read_ledger


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
    """Show a job: its steps, events, files, graph, timeline.

    Now, or with --at as it was after an earlier event.
    """
    if events:
        return _show_events(job, database, up_to=at, as_json=as_json)
    from orc.cli.moments import read_job_at

    with read_job_at(database, job, at) as tables:
        if files:
            from orc.cli.shown_files import show_files

            return show_files(tables.connection, tables.job_id, as_json=as_json)
        from orc.cli.showing import show_job

        return show_job(tables, is_all=is_all, graph=graph, timeline=timeline, as_json=as_json)


def _show_events(job: str, database: Path | None, *, up_to: int | None, as_json: bool) -> int:
    from orc.cli.terminal.event_lines import put_event

    with read_ledger(database) as ledger:
        job_id = ledger.find_job(job)
        if up_to is not None:
            from orc.cli.moments import say_moment

            say_moment(ledger.connection, job_id, up_to)
        for recorded in ledger.read_stream(job_id):
            if up_to is not None and recorded.version > up_to:
                break
            put_event(recorded, as_json=as_json)
    return 0

"""`orc list`: the jobs of a ledger. Starts fast: it reads the tables alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Annotated, Any

import typer

from orc.cli.errors import UsageProblem
from orc.cli.opening import live_status, read_tables
from orc.cli.options import Database, Json, parse_since
from orc.cli.terminal.job_fields import brief_cost, seconds, with_whole_cost
from orc.cli.terminal.text import put, put_json, say, table
from orc.ledger.kinds import SHOWN_JOB_STATUSES
from orc.scheduler.core.errors import nearest

_NAMES = (
    "job_id", "status", "project", "steps_succeeded", "steps_total", "duration_s", "tokens",
    "cost_usd", "calls_unpriced", "submitted_at", "calls_in_doubt",
)  # fmt: skip
_JOBS = (
    "SELECT job_id, status, name, steps_succeeded, steps_total, duration_s, "
    "input_tokens + output_tokens, cost_usd, calls_unpriced, submitted_at, calls_in_doubt "
    "FROM jobs WHERE (?1 IS NULL OR name = ?1) AND (?2 IS NULL OR submitted_at >= ?2) "
    "ORDER BY submitted_at DESC, job_id DESC"
)


def command(
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="How many, newest first.")
    ] = 20,
    statuses: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            help=f"Only jobs that are so: {', '.join(SHOWN_JOB_STATUSES)}; may be given again.",
            metavar="STATUS",
            autocompletion=lambda: list(SHOWN_JOB_STATUSES),
        ),
    ] = None,
    project: Annotated[
        str | None, typer.Option(help="Only jobs of this project.", metavar="PROJECT")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Only jobs submitted since: 30m, 2d, or a day (UTC), 2026-11-01.", metavar="WHEN"
        ),
    ] = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """List jobs, newest first."""
    wanted = _wanted(statuses)
    chosen = (project, parse_since(since))
    with read_tables(database) as (connection, path):
        found = _read(connection, live_status(path), wanted, chosen)
        shown = [dict(zip(_NAMES, row, strict=True)) for row in islice(found, limit)]
        is_empty = connection.execute("SELECT 1 FROM jobs LIMIT 1").fetchone() is None
    if as_json:
        for row in shown:
            put_json(with_whole_cost(row))
        return 0
    if not shown:
        say(
            "no job yet: `orc run SPEC` submits one, `orc demo` runs an example"
            if is_empty
            else "no job is like that; `orc list` shows all"
        )
        return 0
    put(
        table(
            ("JOB", "STATUS", "PROJECT", "STEPS", "TIME", "TOKENS", "COST", "SUBMITTED"),
            [
                (row["job_id"], row["status"], row["project"],
                 f"{row['steps_succeeded']}/{row['steps_total']}", seconds(row["duration_s"]),
                 row["tokens"], brief_cost(row["cost_usd"], row["calls_unpriced"]),
                 f"{row['submitted_at'][:10]} {row['submitted_at'][11:19]}")
                for row in shown
            ],
        )
    )  # fmt: skip
    return 0


def _read(
    connection: sqlite3.Connection,
    status: Callable[[str, str], str],
    wanted: set[str],
    chosen: tuple[str | None, str | None],
) -> Iterator[tuple[Any, ...]]:
    """The jobs as they are shown. No table tells which ones are interrupted."""
    for row in connection.execute(_JOBS, chosen):
        if wanted and row[1] not in wanted and row[1] != "running":
            continue
        shown = status(row[0], row[1])
        if not wanted or shown in wanted:
            yield (row[0], shown, *row[2:])


def _wanted(statuses: list[str] | None) -> set[str]:
    wanted = set(statuses or ())
    for unknown in sorted(wanted - set(SHOWN_JOB_STATUSES)):
        raise UsageProblem(f"no job is ever {unknown!r}{nearest(unknown, SHOWN_JOB_STATUSES)}")
    return wanted

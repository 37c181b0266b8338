"""`orc list`: the jobs of a ledger. Starts fast: it reads the tables alone."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import Database, Json, live_status, read_tables


def list_jobs(
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="How many, newest first.")
    ] = 20,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """List jobs, newest first."""
    from cli.cells import seconds, with_whole_cost
    from cli.text import put, put_json, say, table

    with read_tables(database) as (connection, path):
        status = live_status(path)
        rows = connection.execute(
            "SELECT job_id, status, name, steps_succeeded, steps_total, duration_s, "
            "input_tokens + output_tokens, cost_usd, calls_unpriced, submitted_at, calls_in_doubt "
            "FROM jobs ORDER BY submitted_at DESC, job_id DESC LIMIT ?",
            (limit,),
        ).fetchall()
    shown = [(row[0], status(row[0], row[1]), *row[2:]) for row in rows]
    if as_json:
        names = (
            "job_id", "status", "project", "steps_succeeded", "steps_total",
            "duration_s", "tokens", "cost_usd", "calls_unpriced", "submitted_at",
            "calls_in_doubt",
        )  # fmt: skip
        for row in shown:
            put_json(with_whole_cost(dict(zip(names, row, strict=True))))
        return 0
    if not shown:
        say("no job yet: `orc run SPEC` submits one, `orc demo` runs an example")
        return 0
    put(
        table(
            ("JOB", "STATUS", "PROJECT", "STEPS", "TIME", "TOKENS", "SUBMITTED"),
            [
                (row[0], row[1], row[2], f"{row[3]}/{row[4]}", seconds(row[5]), row[6],
                 f"{row[9][:10]} {row[9][11:19]}")
                for row in shown
            ],
        )
    )  # fmt: skip
    return 0

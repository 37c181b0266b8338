"""What the shell completes: jobs and steps of the ledger. Completion never fails aloud."""

from __future__ import annotations

import typer

from orc.cli.opening import read_tables
from orc.ledger import find_job


def complete_jobs(incomplete: str) -> list[str]:
    """Job ids for the shell; completion never fails aloud."""
    try:
        with read_tables(None) as (connection, _):
            rows = connection.execute(
                "SELECT job_id FROM jobs ORDER BY submitted_at DESC LIMIT 50"
            ).fetchall()
    except Exception:
        return []
    return [row[0] for row in rows if row[0].startswith(incomplete)]


def complete_steps(ctx: typer.Context, incomplete: str) -> list[str]:
    """Step ids of the job that is on the command line."""
    try:
        with read_tables(None) as (connection, path):
            # The option that is being completed has no value yet, and ends the parsing.
            job_id = find_job(connection, ctx.params["job"] or ctx.args[0], path=path)
            rows = connection.execute(
                "SELECT name FROM steps WHERE job_id = ? AND status <> 'removed' ORDER BY position",
                (job_id,),
            ).fetchall()
    except Exception:
        return []
    return [row[0] for row in rows if row[0].startswith(incomplete)]

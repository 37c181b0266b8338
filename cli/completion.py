"""Shell completion of job ids and step ids. An error gives no completions and no message."""

from __future__ import annotations

import typer

from orc.cli.ledger_access import read_tables
from orc.ledger import find_job


def complete_jobs(incomplete: str) -> list[str]:
    """The latest job ids that start with `incomplete`."""
    try:
        with read_tables(None) as (connection, _):
            rows = connection.execute(
                "SELECT job_id FROM jobs ORDER BY position DESC LIMIT 50"
            ).fetchall()
    except Exception:
        return []
    return [row[0] for row in rows if row[0].startswith(incomplete)]


def complete_steps(ctx: typer.Context, incomplete: str) -> list[str]:
    """The step ids that start with `incomplete`, of the job on the command line."""
    try:
        with read_tables(None) as (connection, path):
            # Parsing stops at the option that is being completed, since it has no value yet.
            # The job may therefore still be among the unparsed arguments.
            job_id = find_job(connection, ctx.params["job"] or ctx.args[0], path=path)
            rows = connection.execute(
                "SELECT name FROM steps WHERE job_id = ? AND status <> 'removed' ORDER BY position",
                (job_id,),
            ).fetchall()
    except Exception:
        return []
    return [row[0] for row in rows if row[0].startswith(incomplete)]

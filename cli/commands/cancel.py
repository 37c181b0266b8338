"""`orc cancel`: cancels a job, also one that another process runs."""

from __future__ import annotations

from typing import Annotated

import trio
import typer

from orc.cli.jobs.cancel import cancel as cancel_job
from orc.cli.ledger_access import find_places
from orc.cli.options import Database, Job, Json
from orc.cli.terminal.text import put_json, say
from orc.ledger.exit_codes import FAILED, SUCCEEDED


def command(
    job: Job,
    database: Database = None,
    reason: Annotated[
        str | None, typer.Option(help="The reason, kept in the event.", metavar="TEXT")
    ] = None,
    as_json: Json = False,
) -> int:
    """Cancel a job and stop its commands.

    Running commands get SIGTERM, and SIGKILL after ten seconds. A cancelled job can be resumed.
    """

    async def call() -> tuple[str, str]:
        return await cancel_job(job, places=find_places(database), reason=reason)

    job_id, status = trio.run(call)
    if as_json:
        put_json({"job_id": job_id, "status": status})
    elif status == "cancelled":
        say(f"{job_id} is cancelled; `orc resume {job_id}` continues it")
    else:
        say(f"{job_id} has already ended: {status}")
    return SUCCEEDED if status == "cancelled" else FAILED

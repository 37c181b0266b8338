"""`orc cancel`: ends a job, also one that another process runs."""

from __future__ import annotations

from typing import Annotated

import trio
import typer

from orc.cli.jobs.cancel import cancel as cancel_job
from orc.cli.opening import find_places
from orc.cli.options import (
    Database,
    Job,
    Json,
)
from orc.cli.terminal.text import put_json, say
from orc.ledger.exit_codes import FAILED, SUCCEEDED


def command(
    job: Job,
    database: Database = None,
    reason: Annotated[str | None, typer.Option(help="Kept with the event.")] = None,
    as_json: Json = False,
) -> int:
    """End a job: commands get SIGTERM, and SIGKILL after ten seconds."""

    async def call() -> tuple[str, str]:
        return await cancel_job(job, places=find_places(database), reason=reason)

    job_id, status = trio.run(call)
    if as_json:
        put_json({"job_id": job_id, "status": status})
    elif status == "cancelled":
        say(f"{job_id} is cancelled; `orc resume {job_id}` would go on with it")
    else:
        say(f"{job_id} had ended already: {status}")
    return SUCCEEDED if status == "cancelled" else FAILED

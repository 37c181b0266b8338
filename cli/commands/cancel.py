"""`orc cancel`: cancels a job, also one that another process runs."""

from __future__ import annotations

from typing import Annotated

from orc.cli.ledger_access import find_places
from orc.cli.options import Database, Job, Json
from orc.cli.parameters import Option
from orc.cli.terminal.text import put_json, say
from orc.ledger.command_lines import quoted_command
from orc.ledger.exit_codes import CANCELLED, SUCCEEDED


def command(
    job: Job,
    database: Database = None,
    reason: Annotated[
        str | None, Option(help="The reason, kept in the event.", metavar="TEXT")
    ] = None,
    force: Annotated[
        bool,
        Option(
            "--force", help="Cancel although executors that may still run steps cannot be reached."
        ),
    ] = False,
    as_json: Json = False,
) -> int:
    """Cancel a job and stop its commands.

    Running commands get SIGTERM, and SIGKILL after ten seconds, also on other machines. A
    cancelled job can be resumed. Exits 8 if the job had already ended, unless a process in the
    background was starting to run it again.
    """
    import trio

    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.jobs.cancel import Cancelled
    from orc.cli.jobs.cancel import cancel as cancel_job

    async def call() -> Cancelled:
        return await cancel_job(job, places=find_places(database), reason=reason, force=force)

    done = trio.run(call)
    job_id = done.job_id
    is_cancelled = done.status == "cancelled" and not done.had_ended
    if as_json:
        put_json({"job_id": job_id, "status": done.status, "had_ended": not is_cancelled})
    elif is_cancelled:
        say(f"{job_id} is cancelled; {quoted_command('resume', job_id)} continues it")
    elif done.is_withdrawn:
        say(f"{job_id} is not run again; it has ended before: {done.status}")
    else:
        say(f"{job_id} has already ended: {done.status}")
    return SUCCEEDED if is_cancelled or done.is_withdrawn else CANCELLED

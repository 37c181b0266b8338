"""`orc note`: adds a note to a job."""

from __future__ import annotations

from typing import Annotated

from orc.cli.ledger_access import find_places
from orc.cli.options import Database, Job, Json
from orc.cli.parameters import Argument
from orc.cli.terminal.text import put_json, say
from orc.ledger.command_lines import quoted_command


def command(
    job: Job,
    text: Annotated[str, Argument(help="The note.", metavar="TEXT")],
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Add a note to a job.

    The job may run or have ended. `orc show` prints the notes of a job.
    """
    import trio

    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.jobs.assess.record import Assessment
    from orc.cli.jobs.assess.record import note as note_job

    async def call() -> Assessment:
        return await note_job(job, text, places=find_places(database))

    done = trio.run(call)
    if as_json:
        put_json({"job_id": done.job_id, "text": text})
    else:
        say(f"{done.job_id}: the note is recorded; {quoted_command('show', done.job_id)} shows it")
    return 0

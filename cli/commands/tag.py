"""`orc tag`: adds tags to a job, and removes others."""

from __future__ import annotations

from typing import Annotated

from orc.cli.errors import UsageProblem
from orc.cli.ledger_access import find_places
from orc.cli.options import Database, Job, Json
from orc.cli.parameters import MINUS, Argument
from orc.cli.terminal.text import put_json, safe, say


def command(
    job: Job,
    changes: Annotated[
        list[str],
        Argument(
            help="+TAG adds a tag, -TAG removes one.",
            metavar="+TAG|-TAG...",
        ),
    ],
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Add tags to a job, and remove others.

    The job may run or have ended. `orc list --tag` finds the jobs with a tag.
    """
    import trio

    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.jobs.assess.record import Assessment
    from orc.cli.jobs.assess.record import tag as tag_job
    from orc.cli.jobs.assess.tags import tags_of

    changes = [change.replace(MINUS, "-", 1) for change in changes]
    wrong = [change for change in changes if change[:1] not in ("+", "-")]
    if wrong:
        tags_of(wrong)
        raise UsageProblem(
            f"{wrong[0]}: write +{wrong[0]} to add the tag, -{wrong[0]} to remove it"
        )
    added = tuple(change[1:] for change in changes if change[0] == "+")
    removed = tuple(change[1:] for change in changes if change[0] == "-")
    both = [tag for tag in added if tag in removed]
    if both:
        raise UsageProblem(f"{both[0]}: is added and removed; give one of them")

    async def call() -> Assessment:
        return await tag_job(job, added=added, removed=removed, places=find_places(database))

    done = trio.run(call)
    if as_json:
        put_json({"job_id": done.job_id, "tags": list(done.tags)})
    else:
        say(f"{done.job_id} has {', '.join(map(safe, done.tags)) or 'no tags'}")
    return 0

"""Commands that answer for a person: approve, reject."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orc.cli.options import Database, Job, Json

Step = Annotated[str, typer.Argument(help="The step that asks.", metavar="STEP")]
Comment = Annotated[str | None, typer.Option(help="Kept with the decision.", metavar="TEXT")]


def approve(
    job: Job,
    step: Step,
    option: Annotated[
        str, typer.Option(help="What is chosen, where there is a choice.", metavar="NAME")
    ] = "approve",
    comment: Comment = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Decide for a step that waits for a person."""
    return _decide(job, step, option, comment, database, as_json=as_json)


def reject(
    job: Job,
    step: Step,
    comment: Comment = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Decide against: the step fails, and what needs it does not run."""
    return _decide(job, step, "reject", comment, database, as_json=as_json)


def _decide(
    job: str,
    step: str,
    option: str,
    comment: str | None,
    database: Path | None,
    *,
    as_json: bool,
) -> int:
    import trio

    from orc.cli.jobs.decide import Decision, decide
    from orc.cli.options import find_places
    from orc.cli.terminal.text import put_json, safe, say
    from orc.ledger.exit_codes import FAILED, SUCCEEDED

    async def call() -> Decision:
        places = find_places(database)
        return await decide(job, step, option=option, comment=comment, places=places)

    decision = trio.run(call)
    if as_json:
        put_json(
            {
                "job_id": decision.job_id,
                "step": decision.step,
                "option": decision.option,
                "by": decision.by,
                "is_ours": decision.is_ours,
            }
        )
    elif not decision.is_ours:
        say(f"{safe(step)} was decided a moment before: {decision.option} by {safe(decision.by)}")
    else:
        say(f"{safe(step)}: {decision.option}")
        if not decision.has_owner:
            say(f"next: orc resume {decision.job_id}")
    return SUCCEEDED if decision.is_ours else FAILED

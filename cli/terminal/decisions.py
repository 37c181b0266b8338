"""`orc approve` and `orc reject`: records the decision and prints it."""

from __future__ import annotations

from pathlib import Path

import trio

from orc.cli.jobs.decide import Decision, decide
from orc.cli.ledger_access import find_places
from orc.cli.terminal.text import put_json, safe, say
from orc.ledger.exit_codes import FAILED, SUCCEEDED


def decide_step(
    job: str,
    step: str,
    option: str,
    comment: str | None,
    database: Path | None,
    *,
    as_json: bool,
) -> int:
    """Record the decision; print it, and the next command; the exit code."""

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
        who = f"by {safe(decision.by)}" if decision.by else "by its timeout"
        say(f"{safe(step)} has just been decided: {decision.option}, {who}")
    else:
        say(f"{safe(step)}: {decision.option}")
        if not decision.has_owner:
            by_worker = "a worker (orc work) continues the job"
            say(f"next: {by_worker if decision.is_queued else f'orc resume {decision.job_id}'}")
    return SUCCEEDED if decision.is_ours else FAILED

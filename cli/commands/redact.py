"""`orc redact`: removes bytes that nobody may see."""

from __future__ import annotations

from typing import Annotated

import typer

from orc.cli.jobs.places import open_for_writing
from orc.cli.jobs.remove import carry_out, find_digest, refuse_left_out, refuse_unnamed
from orc.cli.opening import find_places
from orc.cli.options import Database, Json, Reason, Yes
from orc.cli.terminal.removals import tell
from orc.ledger.exit_codes import ENVIRONMENT, SUCCEEDED
from orc.projections.removal_plan import plan_redaction


def command(
    digests: Annotated[
        list[str],
        typer.Argument(help="The SHA-256 of bytes, or 8 of its digits.", metavar="DIGEST"),
    ],
    jobs: Annotated[
        list[str] | None,
        typer.Option(
            "--job", help="This job, although it has not ended; may be given again.", metavar="JOB"
        ),
    ] = None,
    reason: Reason = None,
    yes: Yes = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Remove bytes that nobody may see.

    They go from the ledger and from the run folders. The events stay, and the hash chain with
    them; each job that names the bytes is told by an event. The file is written anew, so no
    job of the ledger may be running.
    """
    places = find_places(database)
    with open_for_writing(places) as ledger:
        found = {find_digest(ledger, digest) for digest in digests}
        named = [ledger.find_job(job) for job in jobs or ()]
        plan = plan_redaction(ledger, found, named=named)
        refuse_left_out(ledger, plan, named)
        refuse_unnamed(plan, found)
        done = None
        if yes:
            done = carry_out(ledger, plan, reason=reason, files=True, prices=places.prices)
    again = ["orc redact", *digests, *(f"--job {job}" for job in named)]
    tell(plan, done, again=" ".join(again), as_json=as_json)
    return SUCCEEDED if done is None or done.is_compact else ENVIRONMENT

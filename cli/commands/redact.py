"""`orc redact`: removes given bytes from the ledger and the run folders."""

from __future__ import annotations

from typing import Annotated

from orc.cli.ledger_access import find_places
from orc.cli.options import Database, Json, Reason, Yes
from orc.cli.parameters import Argument, Option
from orc.ledger.command_lines import command_line
from orc.ledger.exit_codes import ENVIRONMENT, SUCCEEDED


def command(
    digests: Annotated[
        list[str],
        Argument(
            help="The SHA-256 of the bytes, or at least its first 8 digits.", metavar="DIGEST"
        ),
    ],
    jobs: Annotated[
        list[str] | None,
        Option(
            "--job",
            help="Remove the bytes although this job has not ended; can be repeated.",
            metavar="JOB",
        ),
    ] = None,
    reason: Reason = None,
    yes: Yes = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Remove given bytes from the ledger and the run folders.

    The events and the hash chain stay, and each job that has the bytes gets an event that records
    the removal. The ledger file is rewritten, so no job of the ledger may be running.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.jobs.remove import (
        apply_removal,
        find_digest,
        find_unfinished,
        open_for_removal,
        refuse_left_out,
        refuse_unnamed,
    )
    from orc.cli.terminal.removals import print_removal
    from orc.ledger import Ledger
    from orc.projections.removal_plan import plan_redaction

    places = find_places(database)
    with open_for_removal(places, is_dry=not yes) as ledger:
        found = {find_digest(ledger, digest) for digest in digests}
        named = [ledger.find_job(job) for job in jobs or ()]
        plan = plan_redaction(ledger, found, named=named)
        refuse_left_out(ledger, plan, named)
        refuse_unnamed(plan, found)
        prices = places.prices
        unfinished = find_unfinished(ledger, plan, files=True, prices=prices)
        done = None
        if isinstance(ledger, Ledger):
            done = apply_removal(ledger, plan, reason=reason, files=True, prices=prices)
    words = ["redact", *digests, *(word for job in named for word in ("--job", job))]
    words += ["--reason", reason] if reason else []
    print_removal(
        plan, unfinished, done, command_line=command_line(*words, "--yes"), as_json=as_json
    )
    return SUCCEEDED if done is None or done.is_compact else ENVIRONMENT

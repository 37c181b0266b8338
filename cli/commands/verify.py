"""`orc verify`: checks hash chains, blobs, tables, published files and known heads of jobs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

from orc.cli.ledger_access import database_path, find_places
from orc.cli.options import Database, Json
from orc.cli.parameters import Argument, Option
from orc.cli.terminal.text import put_json, safe, say
from orc.ledger.exit_codes import SUCCEEDED, VERIFICATION
from orc.ledger.wording import count_text

if TYPE_CHECKING:
    from orc.projections.verify import Verdict

_CANNOT_KNOW = (
    "Events cut off the end of a job, and a removed job, are found only by comparison with a known "
    "head: in the run folder, or given as --head JOB=HASH."
)


def command(
    job: Annotated[str | None, Argument(help="The job. Default: all jobs.", metavar="JOB")] = None,
    heads: Annotated[
        list[str] | None,
        Option(
            "--head",
            help="A head hash that the job is known to have had; can be repeated. `JOB=` may be left "
            "out if a JOB is given.",
            metavar="[JOB=]HASH",
        ),
    ] = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Check hash chains, blobs, tables and published files.

    Exits 5 if there is a problem. The run folder of a job that was interrupted may be older than the
    ledger: this is a note, and no problem. Events cut off the end of a job, and a removed job, are
    found only by comparison with a known head: in the run folder, or given with --head.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.jobs.verify import verify_ledger

    path = database_path(database)
    found = verify_ledger(
        path,
        job,
        heads or [],
        prices=find_places(database).prices,
        on_verdict=partial(_print_verdict, as_json=as_json),
    )
    if as_json and (found.problems or job is None):
        problems = list(found.problems)
        put_json({"ledger": str(path), "problems": problems, "cannot_know": _CANNOT_KNOW})
    elif not as_json:
        if found.problems:
            say(f"{safe(path)}: {count_text(len(found.problems), 'problem')}")
        for problem in found.problems:
            say(f"  {safe(problem)}")
        say(_CANNOT_KNOW)
    return SUCCEEDED if found.is_intact else VERIFICATION


def _print_verdict(verdict: Verdict, *, as_json: bool) -> None:
    if as_json:
        put_json(
            {
                "job_id": verdict.job_id,
                "events": verdict.events,
                "head": verdict.head,
                "problems": list(verdict.problems),
                "notes": list(verdict.notes),
                "head_known_by": list(verdict.known_by),
            }
        )
        return
    known = f" (known by {' and '.join(verdict.known_by)})" if verdict.known_by else ""
    good = f"{count_text(verdict.events, 'event')}, head {verdict.head[:12]}...{known}, intact"
    said = count_text(len(verdict.problems), "problem") if verdict.problems else good
    say(f"{safe(verdict.job_id)}: {said}")
    for line in (*verdict.problems, *verdict.notes):
        say(f"  {safe(line)}")

"""`orc verify`: checks jobs against their hash chains, tables, files and known heads."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from orc.cli.jobs.verify import verify_ledger
from orc.cli.opening import database_path, find_places
from orc.cli.options import Database, Json
from orc.cli.terminal.text import put_json, safe, say
from orc.ledger.exit_codes import SUCCEEDED, VERIFICATION
from orc.ledger.wording import count_text
from orc.projections.verify import Verdict

_CANNOT_KNOW = (
    "A cut-off tail or a whole removed job shows only against a head known from elsewhere: "
    "a run folder, or --head JOB=HASH."
)


def command(
    job: Annotated[
        str | None, typer.Argument(help="A job; default: all of them.", metavar="[JOB]")
    ] = None,
    heads: Annotated[
        list[str] | None,
        typer.Option(
            "--head",
            help="A head that is known from elsewhere; with JOB, its HASH is enough.",
            metavar="[JOB=]HASH",
        ),
    ] = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Check hash chains, blobs, tables and published files.

    Exits 5 when anything differs. A cut-off tail, or a job that is gone, shows only against a
    head that is known from elsewhere: from the run folder, or by --head.
    """
    path = database_path(database)
    found = verify_ledger(
        path,
        job,
        heads or [],
        prices=find_places(database).prices,
        tell=partial(_tell, as_json=as_json),
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


def _tell(verdict: Verdict, *, as_json: bool) -> None:
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

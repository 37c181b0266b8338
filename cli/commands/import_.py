"""`orc import`: takes a bundled job into this ledger, after checking all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orc.cli.jobs.bundle import import_bundle
from orc.cli.opening import find_places
from orc.cli.options import Database, Json
from orc.cli.terminal.text import put_json, safe, say
from orc.ledger.wording import count_text


def command(
    file: Annotated[Path, typer.Argument(help="A file that orc bundle wrote.", metavar="FILE")],
    trust: Annotated[
        bool,
        typer.Option("--trust", help="The job's commands may run here: you trust its author."),
    ] = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Take a bundled job into this ledger, after checking all of it.

    Its chain stays the same. A job that is here with another history is refused with exit
    code 5. Without --trust it can be looked at, and not run.
    """
    places = find_places(database)
    done = import_bundle(file.absolute(), places.database, prices=places.prices, is_trusted=trust)
    if as_json:
        put_json(
            {
                "job_id": done.job_id,
                "events_before": done.before,
                "events": done.after,
                "trusted": done.is_trusted,
            }
        )
        return 0
    if done.before == 0:
        say(f"{done.job_id}: {count_text(done.after, 'event')} imported")
    elif done.before < done.after:
        say(f"{done.job_id}: was here up to event {done.before}; now up to event {done.after}")
    else:
        say(f"{done.job_id}: already here, with {count_text(done.after, 'event')}")
    if not done.is_trusted:
        say(f"orc resume refuses it until: orc import {safe(file)} --trust")
    say(f"next: orc show {done.job_id}")
    return 0

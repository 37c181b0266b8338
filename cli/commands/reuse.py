"""Commands that go on from results that are there: rerun, fork."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.commands.run import Strict
from cli.options import Database, Force, Job, Json, NoInput, Only, Quiet, Replies


def rerun(
    job: Job,
    steps: Annotated[
        list[str],
        typer.Option("--step", help="A step to run again; may be given again.", metavar="STEP"),
    ],
    database: Database = None,
    replies: Replies = None,
    only: Only = None,
    force: Force = False,
    quiet: Quiet = False,
    no_input: NoInput = False,
    strict: Strict = False,
    as_json: Json = False,
) -> int:
    """Run steps of a job again, and all that follows from them; no cache answers the named ones."""
    from cli.going_on import go_on, split_names

    return go_on(
        job,
        database,
        amend=True,
        again=tuple(dict.fromkeys(steps)),
        only=split_names(only),
        replies=replies,
        force=force,
        quiet=quiet,
        strict=strict,
        as_json=as_json,
    )

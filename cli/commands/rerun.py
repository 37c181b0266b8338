"""`orc rerun`: runs steps of a job again, and everything reachable of them."""

from __future__ import annotations

from orc.cli.options import (
    Again,
    Database,
    Force,
    Job,
    Json,
    NoInput,
    Only,
    Quiet,
    Replies,
    Strict,
    Trust,
    split_names,
)
from orc.cli.terminal.foreground import resume_in_foreground


def command(
    job: Job,
    steps: Again,
    database: Database = None,
    replies: Replies = None,
    only: Only = None,
    force: Force = False,
    trust: Trust = False,
    quiet: Quiet = False,
    no_input: NoInput = False,
    strict: Strict = False,
    as_json: Json = False,
) -> int:
    """Run steps of a job again, with all that follows.

    No cache answers the steps that are named.
    """
    return resume_in_foreground(
        job,
        database,
        amend=True,
        again=tuple(dict.fromkeys(steps)),
        only=split_names(only),
        replies=replies,
        force=force,
        trust=trust,
        quiet=quiet,
        strict=strict,
        as_json=as_json,
    )

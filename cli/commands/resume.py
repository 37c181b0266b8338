"""`orc resume`: continues a job that has stopped, or amends one with an edited spec."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.inputs import parse_inputs
from orc.cli.options import (
    Database,
    Force,
    Inputs,
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
from orc.scheduler.core.durations import parse_duration


def command(
    job: Job,
    database: Database = None,
    provider: Annotated[
        str | None, typer.Option("--provider", "-p", help="Only `replay`: use recorded replies.")
    ] = None,
    replies: Replies = None,
    timeout: Annotated[
        str | None, typer.Option(help="A new time limit for the whole job, such as 30m.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Let more be spent: +1.00 (dollars), +5000tokens, +10calls; STEP=+1.00.",
            metavar="AMOUNT",
        ),
    ] = None,
    spec: Annotated[
        Path | None,
        typer.Option(
            help="Amend the job: what this edited spec changes runs again.", metavar="SPEC"
        ),
    ] = None,
    inputs: Inputs = None,
    only: Only = None,
    force: Force = False,
    trust: Trust = False,
    quiet: Quiet = False,
    no_input: NoInput = False,
    strict: Strict = False,
    as_json: Json = False,
) -> int:
    """Go on with a job that has stopped; with any job, by --spec.

    An edited spec amends the job: what it does not change keeps its results, what it changes
    runs again with all that follows from it. What runs, and why, is said first.
    """
    if inputs and spec is None:
        raise UsageProblem("-i changes an input of an amended job: add --spec, or use `orc fork`")
    return resume_in_foreground(
        job,
        database,
        amend=spec is not None,
        spec=spec,
        inputs=parse_inputs(inputs or []),
        only=split_names(only),
        provider=provider,
        replies=replies,
        timeout_s=_parse_timeout(timeout),
        budget=budget,
        force=force,
        trust=trust,
        quiet=quiet,
        strict=strict,
        as_json=as_json,
    )


def _parse_timeout(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageProblem(f"--timeout {error}; got {text!r}") from None

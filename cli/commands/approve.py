"""`orc approve`: decides for a step that waits for a person."""

from __future__ import annotations

from typing import Annotated

import typer

from orc.cli.options import AskingStep, Comment, Database, Job, Json
from orc.cli.terminal.decisions import decide_step


def command(
    job: Job,
    step: AskingStep,
    option: Annotated[
        str, typer.Option(help="What is chosen, where there is a choice.", metavar="NAME")
    ] = "approve",
    comment: Comment = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Decide for a step that waits for a person."""
    return decide_step(job, step, option, comment, database, as_json=as_json)

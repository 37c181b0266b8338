"""`orc approve`: approves a step that waits for human review."""

from __future__ import annotations

from typing import Annotated

from orc.cli.options import Comment, Database, EnvFile, Job, Json, ReviewStep, ThenResume
from orc.cli.parameters import Option


def command(
    job: Job,
    step: ReviewStep = None,
    option: Annotated[
        str,
        Option(help="The option to choose, if the step offers others.", metavar="NAME"),
    ] = "approve",
    comment: Comment = None,
    then_resume: ThenResume = False,
    database: Database = None,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> int:
    """Approve a step that waits for human review.

    If a process runs the job, the job continues at once. Else `--resume` continues it here, or
    `orc resume` later.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.terminal.decisions import decide_step

    return decide_step(
        job, step, option, comment, database, then_resume=then_resume, as_json=as_json
    )

"""`orc reject`: rejects a step that waits for human review."""

from __future__ import annotations

from orc.cli.options import Comment, Database, EnvFile, Job, Json, ReviewStep, ThenResume


def command(
    job: Job,
    step: ReviewStep = None,
    comment: Comment = None,
    then_resume: ThenResume = False,
    database: Database = None,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> int:
    """Reject a step that waits for human review; the step fails.

    The steps that depend on it do not run.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.terminal.decisions import decide_step

    return decide_step(
        job, step, "reject", comment, database, then_resume=then_resume, as_json=as_json
    )

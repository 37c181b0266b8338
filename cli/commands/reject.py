"""`orc reject`: decides against a step that waits for a person."""

from __future__ import annotations

from orc.cli.options import AskingStep, Comment, Database, Job, Json
from orc.cli.terminal.decisions import decide_step


def command(
    job: Job,
    step: AskingStep,
    comment: Comment = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Decide against: the step fails, and what needs it does not run."""
    return decide_step(job, step, "reject", comment, database, as_json=as_json)

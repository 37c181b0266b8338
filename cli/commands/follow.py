"""Commands that follow jobs as they go, whoever runs them: tail, logs."""

from __future__ import annotations

from typing import Annotated

import typer

from orc.cli.options import (
    Database,
    Job,
    Json,
    StepFilter,
    complete_jobs,
    complete_steps,
    read_ledger,
    read_ledger_and_tables,
)

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on as more comes.")]


def tail(
    job: Annotated[
        str | None,
        typer.Argument(
            help="A job. Default: the latest; with -f, all jobs, from now on.",
            metavar="[JOB]",
            autocompletion=complete_jobs,
        ),
    ] = None,
    database: Database = None,
    follow: Follow = False,
    last: Annotated[
        int | None,
        typer.Option("-n", "--last", min=0, help="Only the last so many, to begin with."),
    ] = None,
    type_: Annotated[
        str | None, typer.Option("--type", help="Only this type, or types that begin so.")
    ] = None,
    step: StepFilter = None,
    as_json: Json = False,
) -> int:
    """Print a job's events; with -f, go on until the job stops."""
    from orc.cli.errors import UsageProblem
    from orc.cli.following import Wanted, check_step, follow_all, follow_job
    from orc.cli.terminal.text import say

    with read_ledger(database) as ledger:
        wanted = Wanted(type_, step)
        if job is None and follow:
            if step is not None:
                raise UsageProblem("--step is for one job: name it, as in `orc tail JOB -f --step`")
            follow_all(ledger, wanted, last=last or 0, as_json=as_json)
            return 0
        job_id = ledger.find_job(job or "latest")
        if job is None:
            say(f"{job_id}, the latest job")
        if step is not None:
            check_step(ledger, job_id, step)
        follow_job(ledger, job_id, wanted, last=last, goes_on=follow, as_json=as_json)
    return 0


def logs(
    job: Job,
    step: Annotated[
        str, typer.Argument(help="A step.", metavar="STEP", autocompletion=complete_steps)
    ],
    attempt: Annotated[
        int | None, typer.Option("--attempt", min=1, help="Only this attempt.", metavar="N")
    ] = None,
    follow: Follow = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="The bytes as they are; not for a terminal.")
    ] = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Print what a step's commands and functions printed."""
    import sys

    from orc.cli.errors import UsageProblem
    from orc.cli.following import check_step
    from orc.cli.logs import print_logs

    if raw and sys.stdout.isatty():
        raise UsageProblem(
            "--raw: what a command printed can take over a terminal; lead it elsewhere"
        )
    if raw and as_json:
        raise UsageProblem("--raw and --json: choose one")
    with read_ledger_and_tables(database) as ledger:
        job_id = ledger.find_job(job)
        check_step(ledger, job_id, step)
        return print_logs(
            ledger, job_id, step, only=attempt, goes_on=follow, raw=raw, as_json=as_json
        )

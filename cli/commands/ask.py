"""Commands that people ask a ledger with: blame, why, diff, cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orc.cli.options import (
    Database,
    Job,
    Json,
    complete_jobs,
    complete_steps,
    read_ledger_and_tables,
    read_tables,
)

if TYPE_CHECKING:
    from orc.projections.money.spending import By

_BY = ("model", "provider", "day", "step", "job", "project")

Full = Annotated[bool, typer.Option("--full", help="All of every text, and every line.")]


def blame(
    file: Annotated[
        str,
        typer.Argument(
            help="A file's path in a job, a copy on the disk, or the beginning of a SHA-256.",
            metavar="FILE",
        ),
    ],
    job: Annotated[
        str | None,
        typer.Option(
            help="Only this job's files. Default: the latest that has the path.",
            metavar="JOB",
            autocompletion=complete_jobs,
        ),
    ] = None,
    is_full: Full = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Tell which step, prompt, model and reply made a file."""
    from orc.cli.asked_files import put_blame

    with read_ledger_and_tables(database) as ledger:
        return put_blame(ledger, file, job=job, is_full=is_full, as_json=as_json)


def why(
    job: Job,
    step: Annotated[
        str, typer.Argument(help="A step's id.", metavar="STEP", autocompletion=complete_steps)
    ],
    is_full: Full = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Tell why a step ran, waited, failed, or was skipped."""
    from orc.cli.asked_why import put_why

    with read_ledger_and_tables(database) as ledger:
        return put_why(ledger, job, step, is_full=is_full, as_json=as_json)


def diff(
    before: Annotated[
        str,
        typer.Argument(help="A job, as everywhere.", metavar="JOB1", autocompletion=complete_jobs),
    ],
    after: Annotated[
        str, typer.Argument(help="Another one.", metavar="JOB2", autocompletion=complete_jobs)
    ],
    step: Annotated[
        str | None,
        typer.Option(help="Only this step, what is inside it, and its files.", metavar="STEP"),
    ] = None,
    is_stat: Annotated[bool, typer.Option("--stat", help="The summary alone.")] = False,
    has_exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 1 where anything differs.")
    ] = False,
    is_full: Full = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Compare two jobs: spec, steps, texts, files, cost, time."""
    from orc.cli.comparing import put_diff
    from orc.ledger.exit_codes import FAILED, SUCCEEDED

    with read_ledger_and_tables(database) as ledger:
        is_same = put_diff(
            ledger, (before, after), step=step, is_stat=is_stat, is_full=is_full, as_json=as_json
        )
    return SUCCEEDED if is_same or not has_exit_code else FAILED


def cost(
    job: Annotated[
        str | None,
        typer.Argument(
            help="Only this job's calls. Default: all of the ledger.",
            metavar="[JOB]",
            autocompletion=complete_jobs,
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="model, provider, day (UTC), step, job or project. "
            "Default: step for a job, else model.",
            metavar="WHAT",
            autocompletion=lambda: list(_BY),
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Only calls made since: 30m, 2d, or a day (UTC), 2026-11-01.", metavar="WHEN"
        ),
    ] = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Add up what calls to models cost, and what the caches saved."""
    from orc.cli.since import parse_since
    from orc.cli.spent import put_cost
    from orc.ledger import find_job

    chosen = _by(by or ("model" if job is None else "step"))
    moment = parse_since(since)
    with read_tables(database) as (connection, path):
        job_id = None if job is None else find_job(connection, job, path=path)
        put_cost(connection, by=chosen, job_id=job_id, since=moment, as_json=as_json)
    return 0


def _by(name: str) -> By:
    from typing import cast

    from orc.cli.errors import UsageProblem
    from orc.scheduler.core.errors import nearest

    if name not in _BY:
        raise UsageProblem(f"--by {name!r} is nothing that costs go by{nearest(name, _BY)}")
    return cast("By", name)

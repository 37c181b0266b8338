"""`orc list`: the jobs of a ledger. It starts fast, since it reads only the tables."""

from __future__ import annotations

import sqlite3
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from orc.cli.jobs.listing import JobSummary, list_jobs
from orc.cli.ledger_access import live_status, read_tables
from orc.cli.options import NUMBER_MAX, Database, Json, TagFilter, parse_since
from orc.cli.parameters import Option
from orc.cli.terminal.tables.columns import id_column, number_column, status_column, text_column
from orc.cli.terminal.tables.table import put_table
from orc.cli.terminal.text import put_json, say
from orc.cli.terminal.times import ago
from orc.ledger.command_lines import quoted_command
from orc.ledger.kinds import QUEUED, SHOWN_JOB_STATUSES
from orc.ledger.money import nearest_nano_usd
from orc.ledger.wording import (
    cost_text,
    count_text,
    duration_text,
    steps_text,
    tokens_text,
)
from orc.projections.scores.overview import means_text
from orc.projections.tables.inner_waits import JobWaits

if TYPE_CHECKING:
    from orc.cli.terminal.next_lines import NextSteps


def command(
    limit: Annotated[
        int,
        Option(
            "--limit",
            "-n",
            min=1,
            max=NUMBER_MAX,
            help="Show at most this many jobs.",
            metavar="N",
        ),
    ] = 20,
    statuses: Annotated[
        list[str] | None,
        Option(
            "--status",
            help=f"Only jobs with this status: {', '.join(SHOWN_JOB_STATUSES)}; can be repeated.",
            metavar="STATUS",
            complete=lambda: list(SHOWN_JOB_STATUSES),
        ),
    ] = None,
    queued: Annotated[
        bool, Option("--queued", help="Only jobs that wait for a worker: --status queued.")
    ] = False,
    project: Annotated[
        str | None, Option(help="Only jobs of this project.", metavar="PROJECT")
    ] = None,
    since: Annotated[
        str | None,
        Option(
            help="Only jobs submitted in the last 30m or 2d, or since a date (UTC) such as "
            "2026-11-01.",
            metavar="WHEN",
        ),
    ] = None,
    tag: TagFilter = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """List jobs, newest first.

    --status waiting also prints what each job asks, and the next command for each. --json has that
    command as `next`, null if the job goes on by itself or has succeeded: for a question the one that
    approves; `orc show JOB` has all of them, and raises limits that a job has reached.
    """
    with read_tables(database) as (connection, path):
        found = list_jobs(
            connection,
            shown_status=live_status(connection, path),
            statuses=(*(statuses or ()), *((QUEUED,) if queued else ())),
            project=project,
            since=parse_since(since),
            tag=tag,
        )
        shown = list(islice(found, limit))
        # Jobs that wait are shown in full to programs, and where they were asked for.
        in_full = [
            job
            for job in shown
            if as_json or ("waiting" in (statuses or ()) and job.status == "waiting")
        ]
        coming = _coming(connection, path, in_full)
        unknown = None if shown else _unknown_tag(connection, tag)
        is_empty = connection.execute("SELECT 1 FROM jobs LIMIT 1").fetchone() is None
    if as_json:
        for job in shown:
            scores = [mean.value() for mean in job.scores]
            then = coming[job.job_id].command()
            put_json({**job._asdict(), "tags": list(job.tags), "scores": scores, "next": then})
        return 0
    if not shown:
        say(
            f"there are no jobs yet: {quoted_command('run', 'SPEC')} submits one, "
            f"{quoted_command('demo')} runs an example"
            if is_empty
            else f"{unknown or 'no job matches'}; {quoted_command('list')} lists all jobs"
        )
        return 0
    # A column only if it has something to say: few jobs tolerate failures.
    has_tolerated = any(job.tolerated_failures for job in shown)
    has_scores, has_tags = any(job.scores for job in shown), any(job.tags for job in shown)
    heads = (
        id_column("JOB"),
        status_column(),
        text_column("PROJECT"),
        number_column("STEPS"),
        *(text_column("TOLERATED", drop=2),) * has_tolerated,
        *(text_column("SCORES", drop=1),) * has_scores,
        *(text_column("TAGS", drop=3),) * has_tags,
        number_column("TIME", drop=4),
        number_column("TOKENS", drop=5),
        number_column("COST"),
        text_column("SUBMITTED"),
    )
    rows = [
        (
            job.job_id,
            f"{job.status} {_waits(job)}".rstrip(),
            job.project,
            steps_text(job.steps_succeeded, job.steps_total, brief=True),
            *(_tolerated(job),) * has_tolerated,
            *(means_text(job.scores),) * has_scores,
            *(", ".join(job.tags),) * has_tags,
            duration_text(job.duration_s),
            tokens_text(job.tokens) if job.calls else "",
            _cost(job),
            ago(job.submitted_at),
        )
        for job in shown
    ]
    put_table(heads, rows)
    for job in shown:
        if job.job_id in coming:
            coming[job.job_id].put(waits=_waits(job))
    return 0


def _coming(
    connection: sqlite3.Connection, path: Path, jobs: list[JobSummary]
) -> dict[str, NextSteps]:
    """What each of the jobs asks, and how it goes on."""
    if not jobs:
        return {}
    # Imported here, as below: a plain `orc list` starts fast.
    from orc.cli.terminal.next_lines import next_steps

    return {
        job.job_id: next_steps(connection, path, job.job_id, job.status, is_brief=True)
        for job in jobs
    }


def _unknown_tag(connection: sqlite3.Connection, tag: str | None) -> str | None:
    from orc.cli.assess.unknown_tag import unknown_tag_text

    return unknown_tag_text(connection, tag)


def _waits(job: JobSummary) -> str:
    """`for 2 answers`: what a waiting job waits for."""
    if job.status != "waiting":
        return ""
    return JobWaits(job.open_questions, job.over_budget, job.in_batches).text()


def _cost(job: JobSummary) -> str:
    """What the calls cost; empty if no call has a cost."""
    if not job.has_cost:
        return ""
    return cost_text(nearest_nano_usd(job.cost_known_usd), job.calls_unpriced, brief=True)


def _tolerated(job: JobSummary) -> str:
    """`4 failures`; empty without any."""
    return count_text(job.tolerated_failures, "failure") if job.tolerated_failures else ""

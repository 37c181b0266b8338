"""Lists the jobs of a ledger, the one that was submitted last first, from the tables only."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from orc.cli.errors import UsageProblem
from orc.ledger.kinds import JOB_OPEN, SHOWN_JOB_STATUSES, STARTING
from orc.ledger.money import usd_number
from orc.projections.scores.overview import ScoreMean, read_means
from orc.projections.tables.inner_waits import JobWaits, read_job_waits
from orc.projections.tables.tags import read_tags

_JOBS = (
    "SELECT job_id, status, name, steps_succeeded, steps_total, duration_s, "
    "input_tokens + output_tokens, cost_nano_usd, calls_unpriced, submitted_at, calls_in_doubt, calls, "
    "(SELECT coalesce(sum(failures), 0) FROM tolerated_failures AS t WHERE t.job_id = jobs.job_id) "
    "FROM jobs WHERE (?1 IS NULL OR name = ?1) AND (?2 IS NULL OR submitted_at >= ?2) "
    "AND (?3 IS NULL OR EXISTS (SELECT 1 FROM tags WHERE tag_id = jobs.job_id || '/' || ?3)) "
    "ORDER BY position DESC"
)


class JobSummary(NamedTuple):
    """A job in a list. Costs are US dollars, `submitted_at` is UTC text.

    `cost_usd` is None if calls have no known price; `cost_known_usd` has the known part. Without
    `has_cost`, no call has a cost, known or not: none was answered, or counted before it failed.
    `calls_in_doubt` counts calls that may have been paid for without a reply. `duration_s` is None
    for a job that has not ended. `tolerated_failures` counts the failures after which the job went on,
    `open_questions` the steps that ask a person, `over_budget` those that need a larger budget, and
    `in_batches` those whose calls wait in batches.
    `scores` are the means of its scores.
    """

    job_id: str
    status: str
    project: str
    steps_succeeded: int
    steps_total: int
    duration_s: float | None
    tokens: int
    cost_usd: float | None
    cost_known_usd: float
    has_cost: bool
    calls_unpriced: int
    submitted_at: str
    calls_in_doubt: int
    calls: int
    tolerated_failures: int
    open_questions: int
    over_budget: int
    in_batches: int
    tags: tuple[str, ...]
    scores: tuple[ScoreMean, ...]


def list_jobs(
    connection: sqlite3.Connection,
    *,
    shown_status: Callable[[str, str], str],
    statuses: Collection[str] = (),
    project: str | None = None,
    since: str | None = None,
    tag: str | None = None,
) -> Iterator[JobSummary]:
    """The jobs that match. `since` is UTC text.

    `shown_status` gives the status to show, from a job's id and its stored status. Raises
    UsageProblem for an unknown status.
    """
    for unknown in sorted(set(statuses) - set(SHOWN_JOB_STATUSES)):
        from orc.scheduler.core.errors import nearest

        raise UsageProblem(
            f"--status: there is no status {unknown!r}{nearest(unknown, SHOWN_JOB_STATUSES)}"
        )
    for row in connection.execute(_JOBS, (project, since, tag)):
        job_id, stored, name, done, total, duration_s, tokens, known, unpriced, *more = row
        if statuses and stored not in statuses and stored != "running" and STARTING not in statuses:
            continue
        status = shown_status(job_id, stored)
        if statuses and status not in statuses:
            continue
        has_cost = bool(unpriced) or known is not None
        known = usd_number(known or 0)
        cost = None if unpriced else known
        submitted_at, calls_in_doubt, calls, tolerated = more
        waits = read_job_waits(connection, job_id) if stored in JOB_OPEN else JobWaits()
        yield JobSummary(
            job_id=job_id,
            status=status,
            project=name,
            steps_succeeded=done,
            steps_total=total,
            duration_s=duration_s,
            tokens=tokens,
            cost_usd=cost,
            cost_known_usd=known,
            has_cost=has_cost,
            calls_unpriced=unpriced,
            submitted_at=submitted_at,
            calls_in_doubt=calls_in_doubt,
            calls=calls,
            tolerated_failures=tolerated,
            open_questions=waits.questions,
            over_budget=waits.over_budget,
            in_batches=waits.batched,
            tags=read_tags(connection, job_id),
            scores=tuple(read_means(connection, job_id)),
        )

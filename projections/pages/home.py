"""The page of all jobs: counts by status, costs, and one line for each job."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from markupsafe import Markup
from msgspec import Struct
from msgspec.structs import replace

from orc.ledger.files.runner_log import running_in_background
from orc.ledger.kinds import (
    INTERRUPTED,
    JOB_OPEN,
    NOT_LIVE,
    QUEUED,
    SHOWN_JOB_STATUSES,
    STARTING,
    sql_list,
)
from orc.ledger.wording import NOT_REPORTED, calls_cost_text, count_text, duration_text, number_text
from orc.projections.pages.links import Links
from orc.projections.pages.render import since_s
from orc.projections.pictures.bars import draw_bars, draw_progress
from orc.projections.scores.forks import IS_FORK, forks_in
from orc.projections.scores.overview import ScoreMean, read_means_of
from orc.projections.tables.inner_waits import read_job_waits
from orc.projections.tables.job_view import read_rows
from orc.projections.tables.rows import JobRow
from orc.projections.tables.status import shown_status
from orc.projections.tables.tags import read_known_tags, read_tags_of
from orc.projections.tables.tolerated import count_tolerated

PAGE_JOBS = 50
STATUSES = SHOWN_JOB_STATUSES

_RECENT_JOBS = 1_000
_SPARK_RUNS = 20
_DAYS = 14
_UNENDED_MAX = 500
_TAGS_MAX = 200


class JobFilter(Struct, frozen=True):
    """The filters of the page. `before` is the position of the job after which the page begins.

    `score` is the name of a score that a job has; `low` and `high` are the ends of a range in which
    the mean of that score must be, or of any score.
    """

    status: str | None = None
    project: str | None = None
    text: str | None = None
    tag: str | None = None
    score: str | None = None
    low: float | None = None
    high: float | None = None
    before: int | None = None

    @property
    def is_filtered(self) -> bool:
        """Whether a filter is set."""
        given = (self.status, self.project, self.text, self.tag, self.score)
        return any(given) or self.low is not None or self.high is not None

    @property
    def is_by_score(self) -> bool:
        """Whether the filter needs the scores of jobs."""
        return bool(self.score) or self.low is not None or self.high is not None

    def has_room_for(self, mean: ScoreMean) -> bool:
        """Whether the score has the name and is in the range."""
        if self.score and mean.name != self.score:
            return False
        value = mean.mean
        if value is None:
            return self.low is None and self.high is None
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def query(self) -> dict[str, str | None]:
        """The query of the page with these filters, from its beginning."""
        return {
            "status": self.status,
            "project": self.project,
            "q": self.text,
            "tag": self.tag,
            "score": self.score,
            "low": None if self.low is None else f"{self.low:g}",
            "high": None if self.high is None else f"{self.high:g}",
        }


class JobLine(Struct, frozen=True):
    """A line of the page: a job with its current status, its progress and the project's other runs."""

    job: JobRow
    status: str
    elapsed_s: float | None
    progress: Markup
    spark: Markup | None
    tolerated: int
    """How many failures the job tolerated."""
    waits: str
    """What a waiting job waits for."""
    means: Sequence[ScoreMean] = ()
    """The means of its scores."""
    tags: tuple[str, ...] = ()


def read_home(
    connection: sqlite3.Connection,
    unended: Mapping[str, str],
    filters: JobFilter,
    links: Links,
    *,
    now: str,
) -> dict[str, Any]:
    """The values of the template `home.html`; `unended` is the result of `read_unended`.

    `now` is UTC text as in `recorded_at`.
    """
    found = _find(connection, filters, unended)
    shown, more = found[:PAGE_JOBS], found[PAGE_JOBS:]
    runs = _recent_runs(connection)
    shown_ids = [job.job_id for job in shown]
    tolerated, means = count_tolerated(connection, shown_ids), read_means_of(connection, shown_ids)
    tags = read_tags_of(connection, shown_ids)
    return {
        "filters": filters,
        "statuses": STATUSES,
        "lines": [
            replace(
                _line(connection, job, unended, runs, tolerated[job.job_id], now),
                means=means[job.job_id],
                tags=tags[job.job_id],
            )
            for job in shown
        ],
        "has_scores": any(means.values()),
        "older": _address(links, filters, shown[-1].position) if more else None,
        "newest": _address(links, filters, None) if filters.before else None,
        "tags": read_known_tags(connection, _TAGS_MAX),
        "scores": sorted({mean.name for found in means.values() for mean in found}),
        "query": filters.query(),
        "projects": sorted(runs, key=str.casefold)[:200],
        "summary": _summary(connection, unended, now),
        "is_live": not filters.before,
        "links": links,
    }


def home_version(connection: sqlite3.Connection, unended: Mapping[str, str]) -> str:
    """A text that changes when the content of the page does, except for running times."""
    (position,) = connection.execute("SELECT max(position) FROM events").fetchone()
    return f"{position or 0}-{sorted(unended.items())}"


def read_unended(connection: sqlite3.Connection, database: Path) -> dict[str, str]:
    """The current status of each job that the tables show as not ended, or that is starting."""
    of_background = list(islice(running_in_background(database), _UNENDED_MAX))
    rows = connection.execute(
        f"SELECT job_id, status FROM jobs WHERE status IN {sql_list(JOB_OPEN)} "
        f"OR job_id IN ({', '.join('?' * len(of_background))}) ORDER BY position DESC LIMIT ?",
        (*of_background, _UNENDED_MAX),
    ).fetchall()
    return {job_id: shown_status(connection, database, job_id, status) for job_id, status in rows}


def _find(
    connection: sqlite3.Connection, filters: JobFilter, unended: Mapping[str, str]
) -> list[JobRow]:
    """The jobs of the page, and one more if there is a next page."""
    conditions, values = ["1"], list[Any]()
    if filters.status in ("running", *NOT_LIVE):
        wanted = [job_id for job_id, status in unended.items() if status == filters.status]
        conditions.append(f"job_id IN ({', '.join('?' * len(wanted))})")
        values += wanted
    elif filters.status:
        starting = [job_id for job_id, status in unended.items() if status == STARTING]
        conditions.append(f"status = ? AND job_id NOT IN ({', '.join('?' * len(starting))})")
        values += [filters.status, *starting]
    if filters.project:
        conditions.append("name = ?")
        values.append(filters.project)
    if filters.text:
        conditions.append("(instr(lower(name), lower(?)) OR instr(job_id, lower(?)))")
        values += [filters.text, filters.text]
    if filters.tag:
        conditions.append("EXISTS (SELECT 1 FROM tags WHERE tag_id = jobs.job_id || '/' || ?)")
        values.append(filters.tag)
    if filters.is_by_score:
        # A NULL is no bound. Without bounds, a score without any value counts, too. What a fork
        # shows is known when it is read.
        conditions.append(
            f"({IS_FORK} OR job_id IN (SELECT job_id FROM scores WHERE ? IS NULL OR name = ? "
            "GROUP BY job_id, name, who HAVING (? IS NULL OR avg(value) >= ?) "
            "AND (? IS NULL OR avg(value) <= ?)))"
        )
        bounds = (filters.score, filters.low, filters.high)
        values += [value for value in bounds for _ in range(2)]
    if filters.before:
        conditions.append("position < ?")
        values.append(filters.before)
    where = " AND ".join(conditions)
    if not filters.is_by_score:
        order = f"ORDER BY position DESC LIMIT {PAGE_JOBS + 1}"
        return read_rows(connection, JobRow, f"{where} {order}", *values)
    return list(islice(_with_score(connection, filters, where, values), PAGE_JOBS + 1))


def _with_score(
    connection: sqlite3.Connection, filters: JobFilter, where: str, values: Sequence[Any]
) -> Iterator[JobRow]:
    """The jobs that show a score as the filter wants it."""
    order, before = f"ORDER BY position DESC LIMIT {PAGE_JOBS}", None
    while True:
        condition = f"{where} AND (? IS NULL OR position < ?) {order}"
        jobs = read_rows(connection, JobRow, condition, *values, before, before)
        forks = forks_in(connection, [job.job_id for job in jobs])
        means = read_means_of(connection, forks) if forks else {}
        for job in jobs:
            if job.job_id not in means or any(map(filters.has_room_for, means[job.job_id])):
                yield job
        if len(jobs) < PAGE_JOBS:
            return
        before = jobs[-1].position


def _recent_runs(connection: sqlite3.Connection) -> dict[str, dict[str, float | None]]:
    """The most recent jobs by project: duration by job id, oldest first."""
    rows = connection.execute(
        "SELECT job_id, name, duration_s FROM jobs ORDER BY position DESC LIMIT ?",
        (_RECENT_JOBS,),
    ).fetchall()
    runs: dict[str, dict[str, float | None]] = {}
    for job_id, name, duration_s in reversed(rows):
        runs.setdefault(name, {})[job_id] = duration_s
    return runs


def _line(
    connection: sqlite3.Connection,
    job: JobRow,
    unended: Mapping[str, str],
    runs: Mapping[str, Mapping[str, float | None]],
    tolerated: int,
    now: str,
) -> JobLine:
    status = unended.get(job.job_id, job.status)
    spark = _spark(job, runs.get(job.name, {}))
    waits = read_job_waits(connection, job.job_id).text() if status == "waiting" else ""
    elapsed_s = elapsed_of(job, status, now)
    return JobLine(job, status, elapsed_s, progress_of(job), spark, tolerated, waits)


def elapsed_of(job: JobRow, status: str, now: str) -> float | None:
    """The duration of a job, so far if it is running, in seconds."""
    if job.duration_s is not None or job.started_at is None or status != "running":
        return job.duration_s
    return max(0.0, since_s(job.started_at, now))


def progress_of(job: JobRow) -> Markup:
    """A bar of the steps of a job that have ended, by state."""
    counts = {
        "succeeded": job.steps_succeeded,
        "failed": job.steps_failed,
        "skipped": job.steps_skipped,
    }
    words = [f"{number_text(count)} {state}" for state, count in counts.items() if count]
    steps = count_text(job.steps_total, "step")
    return draw_progress(
        counts, job.steps_total, said=f"{', '.join(words) or '0 ended'} of {steps}"
    )


def _spark(job: JobRow, runs: Mapping[str, float | None]) -> Markup | None:
    """The durations of the project's runs around this one, as bars; None for a single run."""
    mine = list(runs)
    if job.job_id not in mine or len(mine) < 2:
        return None
    end = min(len(mine), mine.index(job.job_id) + _SPARK_RUNS // 2)
    window = mine[max(0, end - _SPARK_RUNS) : end]
    taken = [runs[job_id] for job_id in window]
    longest = max((value for value in taken if value is not None), default=0.0)
    said = f"durations of {len(window)} runs of {job.name}, the longest {duration_text(longest)}"
    return draw_bars(taken, said=said, chosen=window.index(job.job_id))


def _summary(
    connection: sqlite3.Connection, unended: Mapping[str, str], now: str
) -> dict[str, Any]:
    today = datetime.fromisoformat(now)
    days = [f"{today - timedelta(days=back):%Y-%m-%d}" for back in reversed(range(_DAYS))]
    spent = {
        day: (cost, unpriced, failed, jobs, calls)
        for day, cost, unpriced, failed, jobs, calls in connection.execute(
            "SELECT substr(submitted_at, 1, 10), sum(cost_nano_usd), sum(calls_unpriced), "
            "sum(status = 'failed'), count(*), sum(calls) FROM jobs WHERE submitted_at >= ? GROUP BY 1",
            (days[0],),
        )
    }
    statuses = list(unended.values())
    return {
        "running": statuses.count("running"),
        "waiting": statuses.count("waiting"),
        QUEUED: statuses.count(QUEUED),
        INTERRUPTED: statuses.count(INTERRUPTED),
        "failed_today": spent.get(days[-1], (0, 0, 0, 0))[2],
        "jobs_today": spent.get(days[-1], (0, 0, 0, 0))[3],
        "spent_today": _sum(spent, days[-1:]),
        "spent_week": _sum(spent, days[-7:]),
        "days": _days(spent, days),
    }


def _days(spent: Mapping[str, tuple[Any, ...]], days: Sequence[str]) -> Markup | None:
    """The cost of each day as bars; None if no cost is known."""
    costs = [spent.get(day, (None,))[0] for day in days]
    if not any(costs):
        return None
    said = f"cost per day, {days[0]} to {days[-1]}"
    return draw_bars(costs, said=said, chosen=len(days) - 1, step=8)


def _sum(spent: Mapping[str, tuple[Any, ...]], days: Sequence[str]) -> str:
    chosen = [spent[day] for day in days if day in spent]
    costs = [day[0] for day in chosen if day[0] is not None]
    known = sum(costs) if costs else None
    unpriced, calls = (sum(day[at] or 0 for day in chosen) for at in (1, 4))
    return calls_cost_text(calls, known, unpriced, brief=True) or NOT_REPORTED


def _address(links: Links, filters: JobFilter, before: int | None) -> str:
    return links.home(**filters.query(), before=None if before is None else str(before))

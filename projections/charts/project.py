"""Reads what the charts of a project show: its last jobs, their scores by model, and latencies."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from msgspec import Struct

from orc.ledger.kinds import ANSWERED, sql_list
from orc.projections.scores.forks import forks_in
from orc.projections.scores.overview import ScoreMean, read_means_of
from orc.projections.scores.rows import MODEL, Score, read_scores
from orc.projections.tables.job_view import read_rows
from orc.projections.tables.rows import JobRow

JOBS_MAX = 100
CALLS_MAX = 20_000


class ModelScore(Struct, frozen=True):
    """The mean of one score of one model in one job, with what its results cost.

    `cost_nano_usd` is that of the scored steps together; None if it is not known of all of them.
    `model` is the dimension of that name, or else the model of the step.
    """

    job_id: str
    model: str | None
    name: str
    who: str
    n: int
    mean: float
    results: int
    cost_nano_usd: int | None


class Project(Struct, frozen=True):
    """The last jobs of a project, the first of them in front, and what was measured in them.

    `latencies` has the seconds of answered calls by model, ascending.
    """

    name: str
    jobs: tuple[JobRow, ...]
    means: Mapping[str, Sequence[ScoreMean]]
    by_model: tuple[ModelScore, ...]
    latencies: Mapping[str, Sequence[float]]


def read_project(connection: sqlite3.Connection, name: str) -> Project:
    """The last `JOBS_MAX` jobs of the project; none if it does not exist."""
    jobs = read_rows(connection, JobRow, f"name = ? ORDER BY position DESC LIMIT {JOBS_MAX}", name)[
        ::-1
    ]
    ids = [job.job_id for job in jobs]
    return Project(
        name,
        tuple(jobs),
        read_means_of(connection, ids),
        tuple(_by_model(connection, ids)),
        _latencies(connection, ids),
    )


def _by_model(connection: sqlite3.Connection, ids: Sequence[str]) -> list[ModelScore]:
    forks = set(forks_in(connection, ids))
    found = _own_by_model(connection, [each for each in ids if each not in forks])
    for job_id in ids:
        if job_id in forks:
            found += _fork_by_model(connection, job_id)
    return found


def _fork_by_model(connection: sqlite3.Connection, job_id: str) -> list[ModelScore]:
    """The same for a fork, with the scores and costs of the results that it took over."""
    groups: dict[tuple[str | None, str, str], list[Score]] = {}
    for score in read_scores(connection, job_id).scores:
        if score.value is not None:
            model = score.about.value_of(MODEL)
            key = (None if model is None else str(model), score.name, score.who)
            groups.setdefault(key, []).append(score)
    found = []
    for (model, name, who), scores in groups.items():
        mean = sum(score.value or 0 for score in scores) / len(scores)
        about = {score.about.step: score.about for score in scores}
        costs = [each.cost_nano_usd for each in about.values() if each.cost_nano_usd is not None]
        is_known = costs and not any(each.calls_unpriced for each in about.values())
        cost = sum(costs) if is_known else None
        found.append(ModelScore(job_id, model, name, who, len(scores), mean, len(about), cost))
    return found


def _own_by_model(connection: sqlite3.Connection, ids: Sequence[str]) -> list[ModelScore]:
    # A step that several judges or persons have scored was paid for once.
    rows = connection.execute(
        "SELECT job_id, model, name, who, sum(n), sum(total) / sum(n), count(*), "
        "iif(sum(calls_unpriced), NULL, sum(cost_nano_usd)) FROM (SELECT scores.job_id, "
        "coalesce(json_extract(scores.dimensions, '$.model'), scores.model) AS model, scores.name, "
        "who, count(value) AS n, total(value) AS total, min(scores.version) AS version, "
        "steps.calls_unpriced, steps.cost_nano_usd FROM scores JOIN steps USING (step_id) "
        f"WHERE scores.job_id IN ({_marks(ids)}) AND value IS NOT NULL "
        "GROUP BY 1, 2, 3, 4, scores.step_id) GROUP BY 1, 2, 3, 4 ORDER BY min(version)",
        tuple(ids),
    )
    return [
        ModelScore(job_id, None if model is None else str(model), *rest)
        for job_id, model, *rest in rows
    ]


def _latencies(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, list[float]]:
    """The durations of the last calls that a provider answered."""
    rows = connection.execute(
        "SELECT coalesce(model, provider, ''), duration_s FROM llm_calls "
        f"WHERE job_id IN ({_marks(ids)}) AND duration_s IS NOT NULL AND status IN "
        f"{sql_list(ANSWERED)} AND paid_by_job IS NULL ORDER BY rowid DESC LIMIT {CALLS_MAX}",
        tuple(ids),
    )
    found: dict[str, list[float]] = {}
    for model, duration_s in rows:
        found.setdefault(model, []).append(duration_s)
    return {model: sorted(found[model]) for model in sorted(found, key=lambda m: -len(found[m]))}


def _marks(ids: Sequence[str]) -> str:
    return ", ".join("?" * len(ids))

"""The scores of a job and of each of its steps in short, for lists and pages. It loads fast."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orc.ledger.wording import count_text, rate_text, score_text
from orc.projections.scores.forks import FORKS_MAX, forks_in, is_fork

_STEPS_A_QUERY = 500


class ScoreMean:
    """The mean of the values of one score; `passed` counts those that are true, of `booleans`."""

    def __init__(
        self,
        name: str,
        who: str,
        n: int = 0,
        total: float = 0.0,
        passed: int = 0,
        booleans: int = 0,
        errors: int = 0,
    ) -> None:
        self.name, self.who = name, who
        self.n, self.total = n, total
        self.passed, self.booleans = passed, booleans
        self.errors = errors

    @property
    def mean(self) -> float | None:
        """The mean; None if no value was computed."""
        return self.total / self.n if self.n else None

    @property
    def pass_rate(self) -> float | None:
        """The part of the booleans that are true; None for numbers."""
        return self.passed / self.booleans if self.booleans else None

    def text(self) -> str:
        """The score in words: `exact 93 %`, or `close 0.871`; or that it is broken."""
        named = self.name if self.who == "expression" else f"{self.name} ({self.who})"
        if not self.n:
            return f"{named} broken"
        is_boolean = self.booleans == self.n
        return f"{named} {rate_text(self.pass_rate) if is_boolean else score_text(self.mean)}"

    def value(self) -> dict[str, Any]:
        """The score for `--json`."""
        return {
            "name": self.name,
            "who": self.who,
            "n": self.n,
            "errors": self.errors,
            "mean": self.mean,
            "pass_rate": self.pass_rate,
        }


Means = dict[tuple[str, str], ScoreMean]
"""The means by the name of the score and by who gave it, in the order of their first scores."""


def read_means(connection: sqlite3.Connection, job_id: str) -> list[ScoreMean]:
    """The means of the scores of a job."""
    return read_means_of(connection, [job_id])[job_id]


def read_means_of(
    connection: sqlite3.Connection, job_ids: Sequence[str]
) -> dict[str, list[ScoreMean]]:
    """The means of the scores of each of these jobs; at most some hundred."""
    rows = connection.execute(
        "SELECT job_id, name, who, count(value), total(value), total(passed), count(passed), "
        f"count(error) FROM scores WHERE job_id IN ({', '.join('?' * len(job_ids))}) "
        "GROUP BY job_id, name, who ORDER BY min(version)",
        tuple(job_ids),
    )
    found: dict[str, list[ScoreMean]] = {job_id: [] for job_id in job_ids}
    for job_id, name, who, n, total, passed, booleans, errors in rows:
        found[job_id].append(ScoreMean(name, who, n, total, int(passed), booleans, errors))
    for job_id in forks_in(connection, job_ids):
        # Imported here, so that lists of other jobs load fast.
        from orc.projections.scores.taken_over import read_shown_rows

        means: Means = {}
        for score in read_shown_rows(connection, job_id):
            _add(means, (score.name, score.who, score.value, score.passed, score.error))
        found[job_id] = list(means.values())
    return found


def has_scores(connection: sqlite3.Connection, job_id: str) -> bool:
    """Whether the job has scores, or may have those of the jobs from which it was forked."""
    row = connection.execute(
        "WITH RECURSIVE origin (id, hops) AS (SELECT ?, 0 UNION ALL SELECT jobs.forked_from, hops + 1 "
        "FROM origin JOIN jobs ON jobs.job_id = origin.id "
        "WHERE jobs.forked_from IS NOT NULL AND hops < ?) "
        "SELECT EXISTS (SELECT 1 FROM scores WHERE job_id IN (SELECT id FROM origin))",
        (job_id, FORKS_MAX),
    ).fetchone()
    return bool(row[0])


def read_means_by_step(
    connection: sqlite3.Connection, job_id: str, inside: Mapping[str, Iterable[str]]
) -> dict[str, list[ScoreMean]]:
    """The means of each step that has scores, with those of the steps inside it, by its id.

    `inside` has the ids of all steps inside each of the steps that are asked for.
    """
    around: dict[str, list[str]] = {}
    for step, within in inside.items():
        for name in (step, *within):
            around.setdefault(name, []).append(step)
    found: dict[str, Means] = {}
    for name, score in _read(connection, job_id, list(around)):
        for step in around[name]:
            _add(found.setdefault(step, {}), score)
    return {step: list(means.values()) for step, means in found.items()}


def means_text(means: Sequence[ScoreMean], *, most: int = 2) -> str:
    """The first means in words, with the number of the others: `exact 93 %, close 0.871, +1`."""
    shown = [mean.text() for mean in means[:most]]
    if len(means) > most:
        shown.append(f"+{len(means) - most}")
    return ", ".join(shown)


def errors_text(means: Iterable[ScoreMean]) -> str:
    """How many scores could not be computed; empty if all could."""
    errors = sum(mean.errors for mean in means)
    return f"{count_text(errors, 'score')} could not be computed" if errors else ""


_Row = tuple[str, str, float | None, int | None, str | None]


def _read(
    connection: sqlite3.Connection, job_id: str, steps: Sequence[str]
) -> Iterable[tuple[str, _Row]]:
    """The scores of these steps, in the order in which they were recorded."""
    if is_fork(connection, job_id):
        from orc.projections.scores.taken_over import read_shown_rows, score_key

        wanted = set(steps)
        shown = ((score_key(score)[0], score) for score in read_shown_rows(connection, job_id))
        return (
            (name, (score.name, score.who, score.value, score.passed, score.error))
            for name, score in shown
            if name in wanted
        )
    rows: list[tuple[int, str, _Row]] = []
    for first in range(0, len(steps), _STEPS_A_QUERY):
        names = [f"{job_id}/{name}" for name in steps[first : first + _STEPS_A_QUERY]]
        found = connection.execute(
            "SELECT version, step_id, name, who, value, passed, error FROM scores "
            f"WHERE step_id IN ({', '.join('?' * len(names))})",
            names,
        )
        rows += ((version, step_id, tuple(row)) for version, step_id, *row in found)
    rows.sort(key=lambda row: row[0])
    return ((step_id.removeprefix(f"{job_id}/"), row) for _, step_id, row in rows)


def _add(found: Means, row: _Row) -> None:
    name, who, value, passed, error = row
    mean = found.setdefault((name, who), ScoreMean(name, who))
    if value is not None:
        mean.n += 1
        mean.total += value
    if passed is not None:
        mean.booleans += 1
        mean.passed += passed
    mean.errors += error is not None

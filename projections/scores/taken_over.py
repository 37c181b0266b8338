"""Which scores of earlier jobs a fork shows for the results that it took over.

All lists, pages and reports follow this rule. The fork scores these results itself with the
expressions of its own spec; it shows what people said of them before, and what judges said that are
no steps of the fork. A score that is given again in the fork takes the place of the earlier one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Set

from msgspec import Struct

from orc.ledger.step_names import lineage
from orc.projections.scores.forks import FORKS_MAX, is_fork
from orc.projections.tables.assessments import ScoreRow
from orc.projections.tables.job_view import read_rows

ScoreKey = tuple[str, str, str, str]
"""The step that a score is about, its name, who gave it, and by which step or person."""


class TakenOver(Struct, frozen=True):
    """The results with which a fork started: `origins` has the job and step of each, by its step.

    `names` are all steps of the fork, `given` its own scores. A fork of an earlier version of orc
    does not have the items of its results as steps: their scores are those of before.
    """

    origins: Mapping[str, str]
    names: Set[str]
    given: Set[ScoreKey]

    @property
    def jobs(self) -> list[str]:
        """The jobs that made the results."""
        return sorted({place.partition("/")[0] for place in self.origins.values() if place})

    def is_from(self, step: str, job_id: str) -> bool:
        """Whether the fork took over the result of that step, or of one around it, from the job."""
        origins = self.origins
        found = next((origins[name] for name in lineage(step) if name in origins), "")
        return found.partition("/")[0] == job_id

    def is_kept(self, score: ScoreKey, job_id: str) -> bool:
        """Whether the fork shows that score, which the job has."""
        step, _, who, by = score
        if score in self.given or not self.is_from(step, job_id):
            return False
        return who == "human" or (by not in self.names and self.is_from(by, job_id))


def read_taken_over(connection: sqlite3.Connection, job_id: str) -> TakenOver | None:
    """What the job took over when it was forked; None if it took over nothing."""
    if not is_fork(connection, job_id):
        return None
    rows = connection.execute(
        "SELECT name, iif(reused = 'fork', coalesce(reused_from, ''), NULL) FROM steps "
        "WHERE job_id = ? AND status <> 'removed'",
        (job_id,),
    ).fetchall()
    origins = {name: origin for name, origin in rows if origin is not None}
    own = {score_key(score) for score in _own_rows(connection, job_id)}
    return TakenOver(origins, {name for name, _ in rows}, own)


def read_shown_rows(
    connection: sqlite3.Connection, job_id: str, *, forks_left: int = FORKS_MAX
) -> list[ScoreRow]:
    """The scores that the job shows, those of earlier jobs first, as if they were its own."""
    own = _own_rows(connection, job_id)
    taken = read_taken_over(connection, job_id) if forks_left else None
    if taken is None:
        return own
    return [*_earlier(connection, job_id, taken, forks_left), *own]


def score_key(score: ScoreRow) -> ScoreKey:
    """The key of a score among those of its job."""
    step = score.step_id.removeprefix(f"{score.job_id}/")
    return step, score.name, score.who, score.by


def _earlier(
    connection: sqlite3.Connection, job_id: str, taken: TakenOver, forks_left: int
) -> Iterable[ScoreRow]:
    for origin in taken.jobs:
        for score in read_shown_rows(connection, origin, forks_left=forks_left - 1):
            key = score_key(score)
            if taken.is_kept(key, origin):
                yield score._replace(job_id=job_id, step_id=f"{job_id}/{key[0]}")


def _own_rows(connection: sqlite3.Connection, job_id: str) -> list[ScoreRow]:
    return read_rows(connection, ScoreRow, "job_id = ? ORDER BY version", job_id)

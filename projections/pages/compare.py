"""The page that compares jobs: their scores, and of two of them steps, texts and files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orc.ledger.kinds import NOT_LIVE
from orc.ledger.reader import LedgerReader
from orc.projections.history.changed_steps import changed_steps
from orc.projections.history.job_diff import Change, JobComparer, StepDiff
from orc.projections.pages.links import Links
from orc.projections.pages.results import read_scores_once, read_steps_once, score_label, state_of
from orc.projections.scores.comparison import CaseChange, ScoreComparison, compare_scores
from orc.projections.scores.groups import ScoreGroup, group_scores
from orc.projections.scores.pivot import label_of
from orc.projections.tables.job_view import JobView, read_rows
from orc.projections.tables.rows import JobRow
from orc.projections.tables.status import shown_status, step_as_shown

JOBS_MAX = 8
CASES_MAX = 50
STEPS_MAX = 20
FILES_MAX = 50
_FILE_TEXTS_MAX = 10
_SETTINGS_MAX = 100
LINES_MAX = 200


class CompareWanted(Struct, frozen=True):
    """What the address asks for: the jobs, the one that is compared with the first, and parts."""

    jobs: tuple[str, ...]
    other: str = ""
    score: str = ""
    case_part: int = 1
    step_part: int = 1


class JobColumn(Struct, frozen=True):
    """A job of the page: its row, the status to show, and the groups of its scores by their names."""

    job: JobRow
    status: str
    groups: dict[str, ScoreGroup]


class Differences(Struct, frozen=True):
    """The scores of one job compared with those of the first one, by their names."""

    job: JobRow
    scores: dict[str, ScoreComparison]


def by_submission(reader: LedgerReader, jobs: Sequence[str]) -> tuple[str, ...]:
    """The jobs, that which was submitted first in front: others are compared with it."""
    place = {
        job.job_id: job.position
        for job_id in jobs
        for job in read_rows(reader.connection, JobRow, "job_id = ?", job_id)
    }
    return tuple(sorted(jobs, key=lambda job_id: place[job_id]))


def read_comparison(
    reader: LedgerReader, database: Path, wanted: CompareWanted, links: Links
) -> dict[str, Any]:
    """The values of the template `compare.html`, for two jobs or more. Raises LedgerError."""
    columns = [
        _column(reader, database, job_id, wanted.jobs[0] if place else None)
        for place, job_id in enumerate(wanted.jobs)
    ]
    first, *others = columns
    compared = [
        Differences(each.job, _compare(reader, database, first.job.job_id, each.job.job_id))
        for each in others
    ]
    other = next((each for each in compared if each.job.job_id == wanted.other), compared[0])
    names = list(dict.fromkeys(name for column in columns for name in column.groups))
    chosen = wanted.score if wanted.score in other.scores else next(iter(other.scores), "")
    cases = other.scores[chosen].cases if chosen else ()
    return {
        "columns": columns,
        "names": names,
        "compared": compared,
        "first": first.job,
        "other": other.job,
        "score": chosen,
        "scores": other.scores,
        "cases": [(_case_label(case), case) for case in _part(cases, wanted.case_part, CASES_MAX)],
        "cases_total": len(cases),
        "case_part": wanted.case_part,
        "case_parts": _parts(len(cases), CASES_MAX),
        **_differences_once(
            *state_of(reader, database, first.job.job_id),
            other.job.job_id,
            wanted.step_part,
            frozenset(each.job.job_id for each in columns if each.status not in NOT_LIVE),
        ),
        "lines_max": LINES_MAX,
        "query": {"job": [column.job.job_id for column in columns], "with": other.job.job_id},
        "links": links,
    }


def _column(reader: LedgerReader, database: Path, job_id: str, like: str | None) -> JobColumn:
    job = read_rows(reader.connection, JobRow, "job_id = ?", job_id)[0]
    status = shown_status(reader.connection, database, job_id, job.status)
    return JobColumn(job, status, _groups_once(*state_of(reader, database, job_id), like))


def _compare(
    reader: LedgerReader, database: Path, before: str, after: str
) -> dict[str, ScoreComparison]:
    return _compare_once(*state_of(reader, database, before), after)


@lru_cache(maxsize=16)
def _groups_once(
    database: Path, stamp: tuple[object, ...], job_id: str, like: str | None
) -> dict[str, ScoreGroup]:
    groups = group_scores(read_scores_once(database, stamp, job_id, like))
    return {score_label((group.name, group.who)): group for group in groups}


@lru_cache(maxsize=8)
def _compare_once(
    database: Path, stamp: tuple[object, ...], before: str, after: str
) -> dict[str, ScoreComparison]:
    first = read_scores_once(database, stamp, before, None)
    second = read_scores_once(database, stamp, after, before)
    return {score_label((each.name, each.who)): each for each in compare_scores(first, second)}


@lru_cache(maxsize=8)
def _differences_once(
    database: Path,
    stamp: tuple[object, ...],
    before: str,
    after: str,
    part: int,
    live: frozenset[str],
) -> dict[str, Any]:
    """The differences, once in each state of the ledger: those of long outputs take a while.

    `live` are the jobs that a process runs.
    """
    with LedgerReader.open(database) as reader:
        return _differences(reader, database, before, after, part, live)


def _differences(
    reader: LedgerReader,
    database: Path,
    before: str,
    after: str,
    part: int,
    live: frozenset[str],
) -> dict[str, Any]:
    """The differences of two jobs; those of texts only for the steps and files that are shown."""
    views = _read_steps(reader, database, before), _read_steps(reader, database, after)
    comparer = JobComparer(reader, *views)
    changed = changed_steps(reader.connection, *views)
    settings = list(comparer.settings())
    files = [file for file in comparer.files(texts_max=_FILE_TEXTS_MAX) if file.state != "same"]
    return {
        "spec": comparer.spec(),
        "settings": [
            (change.name, _value(change, "before"), _value(change, "after"))
            for change in settings[:_SETTINGS_MAX]
        ],
        "settings_total": len(settings),
        "steps": [
            _as_shown(comparer.step(name), before in live, after in live)
            for name, _ in _part(changed, part, STEPS_MAX)
        ],
        "steps_total": len(changed),
        "step_part": part,
        "step_parts": _parts(len(changed), STEPS_MAX),
        "used": [view.usage for view in views],
        "files": files[:FILES_MAX],
        "files_total": len(files),
    }


def _as_shown(step: StepDiff, before_is_live: bool, after_is_live: bool) -> StepDiff:
    before = step.before and step_as_shown(step.before, is_live=before_is_live)
    after = step.after and step_as_shown(step.after, is_live=after_is_live)
    return replace(step, before=before, after=after)


def _read_steps(reader: LedgerReader, database: Path, job_id: str) -> JobView:
    """The job with its steps; a comparison does not need their attempts."""
    connection = reader.connection
    steps = read_steps_once(*state_of(reader, database, job_id))
    return JobView(read_rows(connection, JobRow, "job_id = ?", job_id)[0], steps)


def _value(change: Change, side: str) -> str:
    value = getattr(change, side)
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _case_label(case: CaseChange) -> str:
    """The dimensions of a case in words; a case without any is known by its step."""
    if len(case.dimensions) == 1:
        return label_of(next(iter(case.dimensions.values())))
    return label_of(case.dimensions or case.case)


def _part(found: Sequence[Any], part: int, size: int) -> Sequence[Any]:
    return found[(part - 1) * size : part * size]


def _parts(total: int, size: int) -> int:
    return max(1, -(-total // size))

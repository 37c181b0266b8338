"""The page of the results of a job: one score as a grid of cases and models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct, field
from msgspec.structs import replace

from orc.ledger.reader import LedgerReader
from orc.projections.history.exchange import Exchange, read_exchange
from orc.projections.history.turns import ShownText, read_output
from orc.projections.pages.links import Links
from orc.projections.scores.groups import ScoreGroup, group_scores, key_text
from orc.projections.scores.pivot import (
    ORDERS,
    SHOWN,
    Line,
    LineFilter,
    Pivot,
    PivotLayout,
    ScoreName,
    build_pivot,
    default_layout,
    filter_lines,
    names_for_layout,
    score_names,
)
from orc.projections.scores.rows import JobScores, Score, Scored, read_scores, read_steps
from orc.projections.tables.job_view import read_calls, read_rows
from orc.projections.tables.rows import CallRow, JobRow, StepRow
from orc.projections.tables.tags import read_tags

ROWS_MAX = 50
LEVELS = 7
_CARDS_MAX = 12
_HOPS_MAX = 20


class ResultsWanted(Struct, frozen=True):
    """What the address of the page asks for; a name that the job does not have counts as none."""

    score: str = ""
    rows: str = ""
    columns: str = ""
    lines: LineFilter = field(default_factory=LineFilter)
    part: int = 1
    open: str = ""
    """The step whose texts are shown, with those of the other columns of its row."""


class OpenedResult(Struct, frozen=True):
    """A result with its texts: the last call of its step, its output, and all of its scores."""

    column: str
    result: Scored
    exchange: Exchange | None
    output: ShownText | None
    scores: tuple[Score, ...]
    is_here: bool
    """Whether the job itself has the step; a fork has some results without their steps."""
    is_known: bool
    """Whether a job of this ledger has the step."""


def read_results(
    reader: LedgerReader, database: Path, job_id: str, wanted: ResultsWanted, links: Links
) -> dict[str, Any]:
    """The values of the template `results.html`. Raises LedgerError."""
    state = state_of(reader, database, job_id)
    scores = read_scores_once(*state)
    names = score_names(scores)
    values = {
        "job": read_rows(reader.connection, JobRow, "job_id = ?", job_id)[0],
        "tags": read_tags(reader.connection, job_id),
        "wanted": wanted,
        "names": [score_label(name) for name in names],
        "links": links,
    }
    if not names:
        return {**values, "pivot": None}
    chosen = next(
        (name for name in names if score_label(name) == wanted.score), _first_with_value(scores)
    )
    layout = _layout(scores, wanted)
    pivot = _build_once(*state, chosen, layout)
    texts = _outputs(reader, job_id) if wanted.lines.text else {}
    found = filter_lines(pivot, wanted.lines, texts)
    part = wanted.part
    if wanted.open:
        place = next((at for at, line in enumerate(found) if line.has_step(wanted.open)), None)
        part = part if place is None else place // ROWS_MAX + 1
    shown = found[(part - 1) * ROWS_MAX : part * ROWS_MAX]
    query = query_of(wanted, chosen)
    opened = next((line for line in shown if wanted.open and line.has_step(wanted.open)), None)
    return {
        **values,
        "wanted": replace(wanted, score=score_label(chosen), part=part),
        "dimensions": names_for_layout(scores),
        "pivot": pivot,
        "lines": shown,
        "matching": len(found),
        "parts": max(1, -(-len(found) // ROWS_MAX)),
        "opened": opened,
        "cards": [] if opened is None else _cards(reader, scores, pivot, opened),
        "totals": _totals(state, chosen, pivot),
        "levels": LEVELS,
        "orders": ORDERS,
        "shown": SHOWN,
        "query": query,
        "back": urlencode({name: value for name, value in query.items() if value}),
    }


def query_of(wanted: ResultsWanted, name: ScoreName) -> dict[str, str | None]:
    """The query of the page without part and opened cell, for its links."""
    lines = wanted.lines
    return {
        "score": score_label(name),
        "rows": wanted.rows or None,
        "columns": wanted.columns or None,
        "show": lines.show,
        "low": None if lines.low is None else f"{lines.low:g}",
        "high": None if lines.high is None else f"{lines.high:g}",
        "q": lines.text,
        "sort": lines.sort,
        "by": None if lines.column is None else str(lines.column + 1),
    }


def score_label(name: ScoreName) -> str:
    """A score in words: its name, with who gave it if that is no expression of the step itself."""
    return name[0] if name[1] == "expression" else f"{name[0]} ({name[1]})"


def _layout(scores: JobScores, wanted: ResultsWanted) -> PivotLayout:
    known = names_for_layout(scores)
    usual = default_layout(scores)
    columns = (wanted.columns,) if wanted.columns in known else usual.columns
    if wanted.columns == "none":
        columns = ()
    if wanted.rows in known:
        return PivotLayout((wanted.rows,), columns)
    rows = tuple(name for name in (*usual.rows, *usual.columns) if name not in columns)
    return PivotLayout(rows or usual.rows, columns)


def _first_with_value(scores: JobScores) -> ScoreName:
    """The score to show if none is asked for: not one that is broken everywhere, if there is another."""
    found = score_names(JobScores(scores.job_id, _with_value(scores), ()))
    return (found or score_names(scores))[0]


def _with_value(scores: JobScores) -> tuple[Score, ...]:
    return tuple(score for score in scores.scores if score.value is not None)


ScoresState = tuple[Path, tuple[object, ...], str]
"""A ledger, a value that changes with it, and the id of a job: what the caches below go by."""


def state_of(reader: LedgerReader, database: Path, job_id: str) -> ScoresState:
    """The state of a job's scores: another one when an event is appended, or the file is replaced.

    The log beside the file does not count: each connection that opens and closes changes it.
    """
    (position,) = reader.connection.execute("SELECT max(position) FROM events").fetchone()
    status = database.stat()
    stamp = (position, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return database, stamp, job_id


@lru_cache(maxsize=4)
def read_scores_once(
    database: Path, stamp: tuple[object, ...], job_id: str, like: str | None = None
) -> JobScores:
    """The scores of a job, which are read once in each state of the ledger's files.

    The steps that have scores in the job `like` should have some in this one, too.
    """
    steps = read_steps_once(database, stamp, job_id)
    other = None if like is None else read_scores_once(database, stamp, like, None)
    with LedgerReader.open(database) as reader:
        return read_scores(reader.connection, job_id, steps, like=other)


@lru_cache(maxsize=4)
def read_steps_once(database: Path, stamp: tuple[object, ...], job_id: str) -> tuple[StepRow, ...]:
    """The steps of a job, without removed ones, which are read once in each state, too."""
    with LedgerReader.open(database) as reader:
        return tuple(read_steps(reader.connection, job_id))


@lru_cache(maxsize=8)
def _build_once(
    database: Path, stamp: tuple[object, ...], job_id: str, name: ScoreName, layout: PivotLayout
) -> Pivot:
    return build_pivot(read_scores_once(database, stamp, job_id), name, layout)


@lru_cache(maxsize=8)
def _groups_once(
    database: Path, stamp: tuple[object, ...], job_id: str, name: ScoreName, by: tuple[str, ...]
) -> Mapping[str, ScoreGroup]:
    """The groups of one score; the intervals of a large job take most of the time of the page."""
    scores = read_scores_once(database, stamp, job_id)
    own = tuple(score for score in scores.scores if (score.name, score.who) == name)
    declared = tuple(each for each in scores.declared if (each.name, "expression") == name)
    groups = group_scores(JobScores(job_id, own, scores.results, declared=declared), by=by)
    return {key_text(group.key): group for group in groups}


def _totals(state: ScoresState, name: ScoreName, pivot: Pivot) -> list[ScoreGroup | None]:
    """The group of each column; None for one that has failures only."""
    groups = _groups_once(*state, name, pivot.layout.columns)
    return [groups.get(key) for key in pivot.keys]


def _outputs(reader: LedgerReader, job_id: str) -> dict[str, str]:
    """The beginning of the result of each step, as the table has it."""
    rows = reader.connection.execute(
        "SELECT name, output FROM steps WHERE job_id = ? AND output IS NOT NULL", (job_id,)
    )
    return dict(rows.fetchall())


def _cards(reader: LedgerReader, scores: JobScores, pivot: Pivot, line: Line) -> list[OpenedResult]:
    found = [
        (column, result)
        for column, cell in zip(pivot.columns, line.cells, strict=True)
        if cell is not None
        for result in cell.results
    ]
    own: dict[str, list[Score]] = {result.step: [] for _, result in found}
    for score in scores.scores:
        if score.about.step in own:
            own[score.about.step].append(score)
    return [
        _card(reader, column, result, tuple(own[result.step]))
        for column, result in found[:_CARDS_MAX]
    ]


def _card(
    reader: LedgerReader, column: str, result: Scored, scores: tuple[Score, ...]
) -> OpenedResult:
    steps = read_rows(
        reader.connection,
        StepRow,
        "step_id = ? AND status <> 'removed'",
        f"{result.made_in}/{result.step}",
    )
    calls = [] if not steps else _calls(reader, steps[0])
    events = list(reader.read_step(result.made_in, result.step))
    return OpenedResult(
        column,
        result,
        read_exchange(reader, calls[-1]) if calls else None,
        read_output(reader, events),
        scores,
        bool(steps) and result.made_in == result.job_id,
        bool(steps),
    )


def _calls(reader: LedgerReader, step: StepRow) -> list[CallRow]:
    """The calls of the step, or of the one whose result it reused."""
    for _ in range(_HOPS_MAX):
        calls = read_calls(reader.connection, step.step_id)
        if calls or step.reused_from is None:
            return calls
        found = read_rows(reader.connection, StepRow, "step_id = ?", step.reused_from)
        if not found:
            return []
        step = found[0]
    return []

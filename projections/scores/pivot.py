"""One score of a job as a grid: rows and columns are dimensions of the results. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from msgspec import Struct

from orc.projections.scores.groups import key_text
from orc.projections.scores.rows import MODEL, REPETITION, JobScores, Score, Scored, names_of
from orc.projections.scores.statistics import is_same

STEP = "step"
COLUMNS_MAX = 40
_TEXT_CHARS = 200

ScoreName = tuple[str, str]
"""A score by its name and by who gave it."""


class PivotLayout(Struct, frozen=True):
    """Which dimensions are the rows and which are the columns; without columns, there is one."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]


class Cell(Struct, frozen=True, dict=True):
    """The results in one row and one column, with their scores of that name."""

    results: tuple[Scored, ...]
    scores: tuple[Score, ...]

    @cached_property
    def mean(self) -> float | None:
        """The mean of the values; None without any."""
        values = [score.value for score in self.scores if score.value is not None]
        return sum(values) / len(values) if values else None

    @property
    def n(self) -> int:
        """The number of values."""
        return sum(score.value is not None for score in self.scores)

    @property
    def is_boolean(self) -> bool:
        """Whether every value is a boolean."""
        return self.n > 0 and all(
            score.passed is not None for score in self.scores if score.value is not None
        )

    @property
    def errors(self) -> int:
        """The number of scores that could not be computed."""
        return sum(score.error is not None for score in self.scores)

    @property
    def failed(self) -> int:
        """The number of steps that failed, so that they have no score."""
        return sum(result.status == "failed" for result in self.results)

    @property
    def is_failed(self) -> bool:
        """Whether a step failed, a score is broken, or a result did not pass."""
        return bool(
            self.failed or self.errors or any(score.passed is False for score in self.scores)
        )


class Line(Struct, frozen=True, dict=True):
    """A row of the grid: its number in the order of the job from 0, its label, its cells."""

    number: int
    label: str
    cells: tuple[Cell | None, ...]

    @cached_property
    def means(self) -> list[float]:
        """The means of the cells that have one."""
        return [cell.mean for cell in self.cells if cell is not None and cell.mean is not None]

    @property
    def spread(self) -> float:
        """The difference of the highest and the lowest mean of the row."""
        return max(self.means) - min(self.means) if self.means else 0.0

    @property
    def is_different(self) -> bool:
        """Whether the columns differ, also by a result that only some of them have."""
        kinds = {cell is not None and cell.mean is not None for cell in self.cells}
        return len(kinds) > 1 or (
            len(self.means) > 1 and not is_same(min(self.means), max(self.means))
        )

    def has_step(self, name: str) -> bool:
        """Whether a result of the row is of that step."""
        return any(
            result.step == name
            for cell in self.cells
            if cell is not None
            for result in cell.results
        )


class Pivot(Struct, frozen=True):
    """The grid: the labels of its columns, the values by which these are grouped, and its rows.

    `low` and `high` are the ends of the scale of the values: 0 and 1 if all of them are between.
    `columns_left` counts columns that are not shown.
    """

    layout: PivotLayout
    columns: tuple[str, ...]
    keys: tuple[str, ...]
    lines: tuple[Line, ...]
    low: float
    high: float
    columns_left: int = 0

    def level(self, value: float, levels: int) -> int:
        """The place of a value on the scale: a whole number from 0 to `levels` - 1."""
        if self.high <= self.low:
            return levels - 1 if value >= 1 else levels // 2
        return min(levels - 1, max(0, int((value - self.low) / (self.high - self.low) * levels)))


def score_names(scores: JobScores) -> list[ScoreName]:
    """The scores of a job, in their order (`names_of`), and those that its failed steps lack."""
    return [*dict.fromkeys([*names_of(scores.scores), *scores.expected])]


def names_for_layout(scores: JobScores) -> tuple[str, ...]:
    """The dimensions that can be rows or columns."""
    return tuple(dict.fromkeys((*scores.dimensions, MODEL, STEP)))


def default_layout(scores: JobScores) -> PivotLayout:
    """Models in columns and cases in rows, as far as there are any.

    With one model, the columns are the steps of the spec if there are several, else the dimension
    with the fewest values, if there are two dimensions.
    """
    dimensions = [name for name in scores.dimensions if name != REPETITION]
    steps = {each.spec_step for each in scores.results}
    columns: tuple[str, ...] = ()
    if len({_key(each, (MODEL,)) for each in scores.results}) > 1:
        columns = (MODEL,)
    elif len(steps) > 1:
        columns = (STEP,)
    elif len(dimensions) > 1:
        counts = {name: len({_key(r, (name,)) for r in scores.results}) for name in dimensions}
        columns = (min(counts, key=lambda name: (counts[name], name)),)
    rows = [name for name in dimensions if name not in columns and name != MODEL]
    if not rows or (len(steps) > 1 and STEP not in columns):
        rows.insert(0, STEP)
    return PivotLayout(tuple(rows), columns)


def build_pivot(scores: JobScores, name: ScoreName, layout: PivotLayout) -> Pivot:
    """The grid of one score; rows and columns are in the order of the results."""
    by_result: dict[tuple[str, str], list[Score]] = {}
    for score in scores.scores:
        if (score.name, score.who) == name:
            by_result.setdefault((score.about.job_id, score.about.step), []).append(score)
    columns: dict[str, str] = {}
    rows: dict[str, str] = {}
    results: dict[tuple[str, str], list[Scored]] = {}
    steps = {each.spec_step for each in scores.results if (each.job_id, each.step) in by_result}
    steps.update(*(those for given, those in scores.expected.items() if given == name))
    for each in scores.results:
        if (each.job_id, each.step) not in by_result and (
            each.status != "failed" or each.spec_step not in steps
        ):
            continue
        row, column = _key(each, layout.rows), _key(each, layout.columns)
        if row not in rows:
            rows[row] = _label(each, layout.rows)
        if column not in columns:
            columns[column] = _label(each, layout.columns)
        results.setdefault((row, column), []).append(each)
    shown = list(columns)[:COLUMNS_MAX]
    cells = {
        place: Cell(
            tuple(members),
            tuple(s for each in members for s in by_result.get((each.job_id, each.step), ())),
        )
        for place, members in results.items()
    }
    lines = tuple(
        Line(number, label, tuple(cells.get((row, column)) for column in shown))
        for number, (row, label) in enumerate(rows.items())
    )
    values = [cell.mean for cell in cells.values() if cell.mean is not None]
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    return Pivot(
        layout,
        tuple(columns[column] for column in shown),
        tuple(shown),
        lines,
        low,
        high,
        len(columns) - len(shown),
    )


class LineFilter(Struct, frozen=True):
    """Which rows are shown, and in which order. `column` is the number of a column from 0.

    `low` and `high` are the ends of a range in which a cell's mean must be.
    """

    show: str | None = None
    low: float | None = None
    high: float | None = None
    text: str | None = None
    sort: str | None = None
    column: int | None = None


_SHOWN: Mapping[str, Callable[[Line], bool]] = {
    "failed": lambda line: any(cell is not None and cell.is_failed for cell in line.cells),
    "different": lambda line: line.is_different,
}
SHOWN = tuple(_SHOWN)
"""The filters by what is in a row."""
ORDERS = ("lowest", "highest", "most different", "label")
"""The orders besides that of the job."""


def filter_lines(
    pivot: Pivot, wanted: LineFilter, texts: Mapping[str, str] | None = None
) -> list[Line]:
    """The rows that the filter leaves, in its order; `texts` has the texts of steps to search."""
    found: Iterable[Line] = pivot.lines
    if wanted.show is not None:
        is_shown = _SHOWN[wanted.show]
        found = [line for line in found if is_shown(line)]
    if wanted.low is not None or wanted.high is not None:
        low = float("-inf") if wanted.low is None else wanted.low
        high = float("inf") if wanted.high is None else wanted.high
        found = [
            line
            for line in found
            if any(
                low <= mean <= high or is_same(low, mean) or is_same(mean, high)
                for mean in _means(line, wanted)
            )
        ]
    if wanted.text:
        sought = wanted.text.casefold()
        found = [line for line in found if _has_text(line, sought, texts or {})]
    return _sorted(list(found), wanted)


def _means(line: Line, wanted: LineFilter) -> list[float]:
    if wanted.column is None or wanted.column >= len(line.cells):
        return line.means
    cell = line.cells[wanted.column]
    return [] if cell is None or cell.mean is None else [cell.mean]


def _has_text(line: Line, sought: str, texts: Mapping[str, str]) -> bool:
    if sought in line.label.casefold():
        return True
    return any(
        sought in texts.get(result.step, "").casefold()
        or any(sought in (score.why or "").casefold() for score in cell.scores)
        for cell in line.cells
        if cell is not None
        for result in cell.results
    )


def _sorted(lines: list[Line], wanted: LineFilter) -> list[Line]:
    def mean(line: Line, sign: int) -> tuple[bool, float, int]:
        values = _means(line, wanted)
        return not values, sign * sum(values) / len(values) if values else 0.0, line.number

    match wanted.sort:
        case "lowest":
            return sorted(lines, key=lambda line: mean(line, 1))
        case "highest":
            return sorted(lines, key=lambda line: mean(line, -1))
        case "most different":
            return sorted(lines, key=lambda line: (-line.spread, line.number))
        case "label":
            return sorted(lines, key=lambda line: (line.label.casefold(), line.number))
        case _:
            return lines


def _key(result: Scored, names: Sequence[str]) -> str:
    return key_text([result.value_of(name) for name in names])


def _label(result: Scored, names: Sequence[str]) -> str:
    """The values of the dimensions in words; with several, each with its name."""
    if len(names) == 1:
        return label_of(result.value_of(names[0]))
    return ", ".join(f"{name}: {label_of(result.value_of(name))}" for name in names)


def label_of(value: Any) -> str:
    """The value of a dimension on one line: a text, `name: value` of a mapping, or JSON."""
    text = " ".join(_words(value)[: 4 * _TEXT_CHARS].split())
    return text if len(text) <= _TEXT_CHARS else f"{text[:_TEXT_CHARS]}…"


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {label_of(inner)}" for name, inner in value.items())
    return "none" if value is None else json.dumps(value, ensure_ascii=False)

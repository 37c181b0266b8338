"""Reads the scores of a job as typed rows, with what the results cost that they are about."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple, get_args

from msgspec import Struct, field
from msgspec.structs import replace

from orc.projections.scores.forks import FORKS_MAX, is_fork
from orc.projections.scores.taken_over import TakenOver, read_shown_rows, read_taken_over
from orc.projections.tables.assessments import ScoreRow
from orc.projections.tables.inside import Usage, usage_by_step
from orc.projections.tables.job_view import read_rows
from orc.projections.tables.rows import StepRow

REPETITION = "repetition"
"""The dimension that tells the repetitions of one case apart."""
MODEL = "model"
_IN_SPEC = (
    "SELECT coalesce(json_extract(events.data, '$.spec.value.' || :key), (SELECT "
    "iif(json_valid(content), json_extract(content, '$.' || :key), NULL) FROM blobs WHERE sha256 = "
    "json_extract(events.data, '$.spec.sha256') AND typeof(content) = 'text')) FROM events WHERE "
    "job_id = :job AND type IN ('job.submitted', 'job.amended') ORDER BY version DESC LIMIT 1"
)
_SCORES = (
    "SELECT step_id, name, who, value, passed, error, why, why_sha256, by_step, by_person, "
    "recorded_at FROM scores WHERE job_id = ? ORDER BY version"
)
_IN_ITEM = re.compile(r"\[[^\]]*\]|#\d+")

encode_key = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode
"""A value as JSON text: equal for equal values. One encoder is made for all of them."""

Who = Literal["expression", "judge", "human"]


class Scored(Struct, frozen=True, dict=True):
    """A result that has scores, or the failure of a step that would have had some.

    `step` is the id of its step, and `spec_step` the id in the spec: `answer` for `answer[0]`.
    `dimensions` has the values that set it apart from other items. Costs are nano-dollars, with the
    steps inside it; None if nothing was priced.
    """

    job_id: str
    step: str
    spec_step: str
    status: str
    model: str | None
    dimensions: Mapping[str, Any]
    calls: int
    cost_nano_usd: int | None
    calls_unpriced: int
    input_tokens: int
    output_tokens: int
    duration_s: float | None
    made_in: str
    """The job that has the step: for a result with which a fork started, an earlier one."""
    cases: dict[tuple[str, ...], str] = field(default_factory=dict)
    """What `case_without` has computed; results with the same dimensions share it."""

    def __eq__(self, other: object) -> bool:
        # What has been computed does not count.
        names = (name for name in self.__struct_fields__ if name != "cases")
        return isinstance(other, Scored) and all(
            getattr(self, name) == getattr(other, name) for name in names
        )

    __hash__ = None  # type: ignore[assignment]

    def value_of(self, name: str) -> Any:
        """The value of a dimension; `model`, `step` and `job` always are some. None if it has none."""
        if name in self.dimensions:
            return self.dimensions[name]
        if name in ("step", "job"):
            return self.spec_step if name == "step" else self.job_id
        return self.model if name == MODEL else None

    @cached_property
    def case(self) -> str:
        """The case: the dimensions without model and repetition. Without dimensions, the step."""
        return self.case_without((MODEL, REPETITION))

    def case_without(self, names: tuple[str, ...]) -> str:
        """The JSON text of the dimensions apart from these; without any, the step as in the spec.

        An item whose value was removed from the ledger has no dimensions: its id tells it apart.
        """
        if not self.dimensions and "[" in self.step:
            return self.step
        known = self.cases.get(names)
        if known is None:
            left = {name: value for name, value in self.dimensions.items() if name not in names}
            known = self.cases[names] = encode_key(left) if left else ""
        return known or self.spec_step


class Score(NamedTuple):
    """One score of the result `about`. `value` is that of the table: 1 or 0 for a boolean.

    A tuple, since jobs have many thousands of them.
    """

    about: Scored
    name: str
    who: Who
    value: float | None
    passed: bool | None
    error: str | None
    why: str | None
    why_sha256: str | None
    by: str
    recorded_at: str


class Declared(NamedTuple):
    """A score in the spec: the id of its step there, and whether it may be about another step."""

    step: str
    name: str
    is_judge: bool


class JobScores(Struct, frozen=True):
    """The scores of a job, in the order in which they were recorded.

    `results` are the results that have any, and the failed steps that would have had some.
    `failed_judges` are the steps that failed and would have given some to others, by their ids in
    the spec. `declared` are the scores of the spec, if something failed or there are none.
    """

    job_id: str
    scores: tuple[Score, ...]
    results: tuple[Scored, ...]
    failed_judges: tuple[str, ...] = ()
    declared: tuple[Declared, ...] = ()

    @property
    def failed(self) -> list[Scored]:
        """The steps that failed and therefore have no scores."""
        return [each for each in self.results if each.status == "failed"]

    @property
    def expected(self) -> dict[tuple[str, Who], set[str]]:
        """The scores that steps of the spec give to their own results and of which results failed."""
        failed = {each.spec_step for each in self.failed}
        found: dict[tuple[str, Who], set[str]] = {}
        for each in self.declared:
            if each.step in failed and not each.is_judge:
                found.setdefault((each.name, "expression"), set()).add(each.step)
        return found

    @property
    def errors(self) -> list[Score]:
        """The scores whose expression is broken."""
        return [score for score in self.scores if score.error is not None]

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of all dimensions, and `model` if several models gave results."""
        found = dict.fromkeys(name for each in self.results for name in each.dimensions)
        if len({each.model for each in self.results}) > 1:
            found[MODEL] = None
        return tuple(found)


def read_scores(
    connection: sqlite3.Connection,
    job_id: str,
    steps: Sequence[StepRow] | None = None,
    *,
    like: JobScores | None = None,
) -> JobScores:
    """The scores of the job with that id; a fork has those of the results that it started with.

    `steps` is what `read_steps` gives, if the caller has it. The steps that have scores in the job
    `like` should have some in this job too, so that those that failed are found.
    """
    scored = {each.spec_step for each in like.results} if like is not None else set()
    return _read(connection, job_id, FORKS_MAX, steps, scored)


def read_steps(connection: sqlite3.Connection, job_id: str) -> list[StepRow]:
    """The steps of a job, in order, without removed ones."""
    condition = "job_id = ? AND status <> 'removed' ORDER BY position"
    return read_rows(connection, StepRow, condition, job_id)


def read_step_scores(connection: sqlite3.Connection, step_id: str) -> list[ScoreRow]:
    """The scores of the present result of one step; `step_id` is `job/step`."""
    job_id = step_id.partition("/")[0]
    if not is_fork(connection, job_id):
        return read_rows(connection, ScoreRow, "step_id = ? ORDER BY version", step_id)
    return [row for row in read_shown_rows(connection, job_id) if row.step_id == step_id]


def together(jobs: Sequence[JobScores]) -> JobScores:
    """The scores of several jobs; the id of the job is then empty."""
    scores = tuple(score for each in jobs for score in each.scores)
    results = tuple(result for each in jobs for result in each.results)
    failed_judges = tuple(name for each in jobs for name in each.failed_judges)
    declared = dict.fromkeys(one for each in jobs for one in each.declared)
    return JobScores("", scores, results, failed_judges, tuple(declared))


def spec_step(step_id: str) -> str:
    """The id of a step in its spec, without the keys of items and the numbers of rounds."""
    return _IN_ITEM.sub("", step_id)


def _read(
    connection: sqlite3.Connection,
    job_id: str,
    forks_left: int,
    steps: Sequence[StepRow] | None = None,
    scored: Set[str] = frozenset(),
) -> JobScores:
    if steps is None:
        steps = read_steps(connection, job_id)
    rows = connection.execute(_SCORES, (job_id,)).fetchall()
    usage = usage_by_step(steps)
    about = {row[0] for row in rows}
    failed = [
        spec_step(step.name) for step in steps if step.status == "failed" and not step.children
    ]
    declared = _read_declared(connection, job_id) if failed or not rows else ()
    templates = {spec_step(step_id.removeprefix(f"{job_id}/")) for step_id in about} | scored
    templates |= {each.step for each in declared if not each.is_judge}
    orders = _orders_of_columns(connection, job_id) if templates else []
    results = {
        step.name: _result(step, usage[step.name], orders)
        for step in steps
        if step.step_id in about
        or (step.status == "failed" and not step.children and spec_step(step.name) in templates)
    }
    lead = len(job_id) + 1
    scores = [
        _score(results[name], *row) for step_id, *row in rows if (name := step_id[lead:]) in results
    ]
    judges = {each.step for each in declared if each.is_judge}
    failed_judges = tuple(name for name in failed if name in judges)
    found = JobScores(job_id, tuple(scores), tuple(results.values()), failed_judges, declared)
    taken = read_taken_over(connection, job_id) if forks_left else None
    return found if taken is None else _with_taken_over(connection, found, taken, forks_left)


def _with_taken_over(
    connection: sqlite3.Connection, own: JobScores, taken: TakenOver, forks_left: int
) -> JobScores:
    """The scores with those of before, and what the results cost in their own jobs."""
    kept: dict[str, Scored] = {}
    before: list[tuple[str, Score]] = []
    for origin in taken.jobs:
        found = _read(connection, origin, forks_left - 1)
        before += [(origin, score) for score in found.scores]
        kept |= {
            each.step: replace(each, job_id=own.job_id)
            for each in found.results
            if taken.is_from(each.step, origin)
        }
    scores = [
        score._replace(about=kept[score.about.step])
        for origin, score in before
        if taken.is_kept((score.about.step, score.name, score.who, score.by), origin)
    ]
    scores += [each._replace(about=kept.get(each.about.step, each.about)) for each in own.scores]
    results = {each.step: kept.get(each.step, each) for each in own.results}
    both = tuple({**kept, **results}.values())
    return JobScores(own.job_id, tuple(scores), both, own.failed_judges, own.declared)


def _read_declared(connection: sqlite3.Connection, job_id: str) -> tuple[Declared, ...]:
    """The scores in the spec in force."""
    try:
        return tuple(_declared(_in_spec(connection, job_id, "steps"), ""))
    except (ValueError, AttributeError, TypeError, KeyError):
        # Another program wrote it; `orc verify` says so.
        return ()


def _declared(steps: Any, lead: str) -> Iterator[Declared]:
    for step in steps or ():
        name = f"{lead}{step['id']}"
        for score, given in step.get("score", {}).items():
            yield Declared(name, score, given.get("of") is not None)
        yield from _declared(step.get("steps"), f"{name}/")


def _in_spec(connection: sqlite3.Connection, job_id: str, key: str) -> Any:
    """The value of a key of the spec in force. Raises ValueError."""
    found = connection.execute(_IN_SPEC, {"job": job_id, "key": key}).fetchone()
    return json.loads((found and found[0]) or "null")


def _orders_of_columns(connection: sqlite3.Connection, job_id: str) -> list[list[str]]:
    """The columns of the tables that the job has read, in their order, which its items have lost."""
    try:
        read = _in_spec(connection, job_id, "read") or {}
        return [list(map(str, one.get("columns") or ())) for one in read.values()]
    except (ValueError, AttributeError, TypeError):
        # Another program wrote it; `orc verify` says so.
        return []


def _result(step: StepRow, usage: Usage, orders: list[list[str]]) -> Scored:
    dimensions, cases = _dimensions(step.dimensions)
    if orders:
        dimensions = {name: _in_order(value, orders) for name, value in dimensions.items()}
    return Scored(
        job_id=step.job_id,
        step=step.name,
        spec_step=spec_step(step.name),
        status=step.status,
        model=step.model,
        dimensions=dimensions,
        calls=usage.calls,
        cost_nano_usd=usage.cost_nano_usd,
        calls_unpriced=usage.calls_unpriced,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        duration_s=step.duration_s,
        made_in=step.job_id,
        cases=cases,
    )


@lru_cache(maxsize=10_000)
def _dimensions(text: str | None) -> tuple[Mapping[str, Any], dict[tuple[str, ...], str]]:
    """The dimensions, and what `case_without` finds for them: other jobs have the same items."""
    found = {} if text is None else json.loads(text)
    return (found if isinstance(found, dict) else {}), {}


def _in_order(value: Any, orders: list[list[str]]) -> Any:
    """A row with its columns in the order of its table."""
    if isinstance(value, dict):
        for columns in orders:
            if value.keys() == set(columns):
                return {name: value[name] for name in columns}
    return value


def _score(
    about: Scored,
    name: str,
    who: str,
    value: float | None,
    passed: int | None,
    error: str | None,
    why: str | None,
    why_sha256: str | None,
    by_step: str | None,
    by_person: str | None,
    recorded_at: str,
) -> Score:
    kind: Who = "judge" if who == "judge" else "human" if who == "human" else "expression"
    has_passed = None if passed is None else bool(passed)
    by = by_step or by_person or who
    return Score(about, name, kind, value, has_passed, error, why, why_sha256, by, recorded_at)


def names_of(scores: Iterable[Score]) -> list[tuple[str, Who]]:
    """The names of the scores with their sources.

    First those that have a value at all; then expressions, judges, people; else as recorded.
    """
    has_value: dict[tuple[str, Who], bool] = {}
    for score in scores:
        name = score.name, score.who
        has_value[name] = has_value.get(name, False) or score.value is not None
    sources = get_args(Who)
    return sorted(has_value, key=lambda name: (not has_value[name], sources.index(name[1])))

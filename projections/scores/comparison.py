"""Compares the scores of two jobs, case by case: the same cases were given to both."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Set
from typing import Any

from msgspec import Struct, field

from orc.projections.scores.groups import SEED, Used, clusters_of, pass_rate_of, use_of
from orc.projections.scores.rows import MODEL, REPETITION, JobScores, Score, Scored, Who, names_of
from orc.projections.scores.statistics import SAME, Estimate, estimate, is_same


class CaseChange(Struct, frozen=True):
    """A case with the mean of its scores in each job, and the steps that have them.

    `dimensions` are those of the second job, of which `case` is the text.
    """

    case: str
    before: float
    after: float
    steps_before: tuple[str, ...]
    steps_after: tuple[str, ...]
    dimensions: Mapping[str, Any] = field(default_factory=dict)

    @property
    def difference(self) -> float:
        """How much higher the second job is; 0 if that comes from rounding."""
        return 0.0 if is_same(self.before, self.after) else self.after - self.before


class ScoreComparison(Struct, frozen=True):
    """One score in two jobs. `difference` is the estimate of the second minus the first, by case.

    `cases` are those that both jobs have: those that got worse first, the worst in front, then those
    that got better, the best in front, then those that are equal. `only_before` and `only_after`
    count the cases that only one of them has, and `lost` those of the first job whose step failed in
    the second one, or whose score could not be computed there.
    """

    name: str
    who: Who
    before: Estimate | None
    after: Estimate | None
    pass_rate_before: float | None
    pass_rate_after: float | None
    difference: Estimate | None
    cases: tuple[CaseChange, ...]
    only_before: int
    only_after: int
    lost: int
    used_before: Used
    used_after: Used
    tolerance: float = 0.0

    @property
    def regressions(self) -> tuple[CaseChange, ...]:
        """The cases that got worse, by more than the tolerance."""
        return tuple(case for case in self.cases if case.difference < -self.tolerance - SAME)

    @property
    def improvements(self) -> tuple[CaseChange, ...]:
        """The cases that got better, by more than the tolerance."""
        return tuple(case for case in self.cases if case.difference > self.tolerance + SAME)

    @property
    def is_clear(self) -> bool:
        """Whether the interval of the difference is on one side of 0."""
        found = self.difference
        if found is None or found.low is None or found.high is None:
            return False
        return found.low > 0 or found.high < 0


def compare_scores(
    before: JobScores, after: JobScores, *, seed: int = SEED, tolerance: float = 0.0
) -> list[ScoreComparison]:
    """The comparison of each score that one of the jobs has; higher is better."""
    names = names_of((*before.scores, *after.scores))
    # The same cases by other models are compared by case; by the same models, by model too.
    apart = (REPETITION,) if _models(before) == _models(after) else (REPETITION, MODEL)
    one, other = _by_name(before), _by_name(after)
    return [
        _compare(
            one.get(name, []),
            other.get(name, []),
            after.failed,
            apart=apart,
            seed=seed,
            tolerance=tolerance,
        )
        for name in names
    ]


def _by_name(scores: JobScores) -> dict[tuple[str, Who], list[Score]]:
    found: dict[tuple[str, Who], list[Score]] = {}
    for score in scores.scores:
        found.setdefault((score.name, score.who), []).append(score)
    return found


def _models(scores: JobScores) -> set[str]:
    return {json.dumps(each.dimensions.get(MODEL), sort_keys=True) for each in scores.results}


def _compare(
    before: list[Score],
    after: list[Score],
    failed: list[Scored],
    *,
    apart: tuple[str, ...],
    seed: int,
    tolerance: float,
) -> ScoreComparison:
    first = (before or after)[0]
    text = f"{seed}/{first.name}/{first.who}"
    one, other = _by_case(before, apart), _by_case(after, apart)
    changes = [_change(case, one[case], other[case], apart) for case in one if case in other]
    clusters: dict[str, list[float]] = {}
    for change in changes:
        # Several models may have answered the same case.
        clusters.setdefault(one[change.case][0].about.case, []).append(change.difference)
    return ScoreComparison(
        name=first.name,
        who=first.who,
        before=estimate(clusters_of(before), seed=f"{text}/before"),
        after=estimate(clusters_of(after), seed=f"{text}/after"),
        pass_rate_before=pass_rate_of(before),
        pass_rate_after=pass_rate_of(after),
        difference=estimate(clusters.values(), seed=f"{text}/difference"),
        cases=tuple(sorted(changes, key=_order)),
        only_before=len(one.keys() - other.keys()),
        only_after=len(other.keys() - one.keys()),
        lost=_lost(before, after, failed, apart, one.keys() - other.keys()),
        used_before=use_of(score.about for score in before),
        used_after=use_of(score.about for score in after),
        tolerance=tolerance,
    )


def _by_case(scores: Iterable[Score], apart: tuple[str, ...]) -> dict[str, list[Score]]:
    found: dict[str, list[Score]] = {}
    for score in scores:
        if score.value is not None:
            found.setdefault(score.about.case_without(apart), []).append(score)
    return found


def _lost(
    before: list[Score],
    after: list[Score],
    failed: list[Scored],
    apart: tuple[str, ...],
    only_before: Set[str],
) -> int:
    """How many cases of the first job failed in the second one, or have a broken score there."""
    steps = {score.about.spec_step for score in before}
    without = [score.about for score in after if score.value is None]
    without += [each for each in failed if each.spec_step in steps]
    return len(only_before & {each.case_without(apart) for each in without})


def _change(
    case: str, before: list[Score], after: list[Score], apart: tuple[str, ...]
) -> CaseChange:
    return CaseChange(
        case,
        _mean(before),
        _mean(after),
        tuple(score.about.step for score in before),
        tuple(score.about.step for score in after),
        {name: value for name, value in after[0].about.dimensions.items() if name not in apart},
    )


def _mean(scores: list[Score]) -> float:
    values = [score.value for score in scores if score.value is not None]
    return sum(values) / len(values)


def _order(change: CaseChange) -> tuple[int, float]:
    """The worst regression first, then the best improvement, then what is equal."""
    if change.difference == 0:
        return 2, 0.0
    return (0, change.difference) if change.difference < 0 else (1, -change.difference)

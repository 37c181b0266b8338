"""The checks of scores for CI: limits that means must reach, and cases that must not get worse."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from orc.cli.assess.tables import case_text, score_title, value_text
from orc.cli.errors import UsageProblem
from orc.cli.terminal.text import safe
from orc.ledger.wording import count_text, score_text
from orc.projections.scores.comparison import ScoreComparison
from orc.projections.scores.groups import ScoreGroup
from orc.projections.scores.rows import Declared, JobScores
from orc.projections.scores.statistics import is_same
from orc.scheduler.core.errors import nearest
from orc.scheduler.core.typed_numbers import read_number

Failing = list[str]
"""Why a check failed, in sentences for people; empty if it passed."""


def parse_limits(given: Sequence[str] | None) -> dict[str, float]:
    """The lowest mean by the name of a score, from texts such as `exact=0.9`. Raises UsageProblem."""
    found: dict[str, float] = {}
    for text in given or ():
        name, _, number = text.rpartition("=")
        try:
            limit = read_number(number)
        except ValueError:
            limit = math.nan
        if not name or not math.isfinite(limit):
            raise UsageProblem(f"--fail-under {text}: must be SCORE=NUMBER, such as exact=0.9")
        if name in found:
            raise UsageProblem(f"--fail-under {text}: {safe(name)} has a limit already; give one")
        found[name] = limit
    return found


def under_limits(
    groups: Sequence[ScoreGroup],
    by: Sequence[str],
    limits: dict[str, float],
    *,
    declared: Sequence[Declared],
) -> Failing:
    """The groups whose mean is under the limit of their score, or is not of all results.

    Raises UsageProblem for a limit of a score that neither the groups nor the spec have.
    """
    with_group = {group.name for group in groups}
    known = dict.fromkeys([group.name for group in groups] + [each.name for each in declared])
    failing = []
    for name, limit in limits.items():
        if name not in known:
            hint = nearest(name, known) or ("" if known else "; there are no scores")
            raise UsageProblem(f"--fail-under: there is no score {name!r}{hint}")
        if name not in with_group:
            failing.append(_no_value(safe(name), limit))
        for group in groups:
            if group.name == name:
                failing += _under(group, by, limit)
    return failing


def without_judge(scores: JobScores, names: Iterable[str]) -> Failing:
    """The scores among `names` of which a judge failed: its results have no value of them."""
    failing = []
    for name in names:
        judges = {each.step for each in scores.declared if each.is_judge and each.name == name}
        failed = sum(judge in judges for judge in scores.failed_judges)
        if failed:
            failing.append(f"{safe(name)}: {count_text(failed, 'step')} that should give it failed")
    return failing


def regressions(comparisons: Sequence[ScoreComparison]) -> Failing:
    """The scores of which cases got worse, or were lost: what breaks does not pass."""
    worse = [
        f"{_title(each)}: {count_text(len(each.regressions), 'case')} got worse, the most "
        f"{case_text(each.regressions[0])}: {score_text(each.regressions[0].before)} before, "
        f"{score_text(each.regressions[0].after)} now"
        for each in comparisons
        if each.regressions
    ]
    lost = [
        f"{_title(each)}: {count_text(each.lost, 'case')} with a score in the first job failed in "
        "the second, or could not be scored"
        for each in comparisons
        if each.lost
    ]
    return worse + lost


def _title(scored: ScoreComparison | ScoreGroup) -> str:
    return safe(score_title(scored.name, scored.who))


def _no_value(which: str, limit: float) -> str:
    return f"{which}: there is no value, and it must be {score_text(limit)}"


def _under(group: ScoreGroup, by: Sequence[str], limit: float) -> Failing:
    pairs = zip(by, group.key, strict=True)
    which = _title(group) + "".join(f", {name} {value_text(value)}" for name, value in pairs)
    found = []
    if group.estimate is None:
        found.append(_no_value(which, limit))
    elif group.estimate.mean < limit and not is_same(group.estimate.mean, limit):
        mean = score_text(group.estimate.mean)
        found.append(f"{which}: the mean {mean} is under {score_text(limit)}")
    if group.errors:
        broken = count_text(group.errors, "score")
        found.append(f"{which}: {broken} could not be computed")
    if group.failed:
        failed = count_text(group.failed, "step")
        found.append(f"{which}: {failed} failed and gave no score")
    return found

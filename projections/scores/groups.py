"""Groups of scores: for each score and each value of some dimensions, mean, interval and cost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from orc.projections.scores.rows import (
    MODEL,
    JobScores,
    Score,
    Scored,
    Who,
    encode_key,
    names_of,
)
from orc.projections.scores.statistics import Estimate, estimate

SEED = 0
"""The seed of the bootstrap if none is given."""


_ALL = "[]"
"""The key of the only group of scores that are not grouped."""


class Used(Struct, frozen=True):
    """What the results of a group used. `cost_nano_usd` is None if nothing was priced."""

    results: int = 0
    calls: int = 0
    cost_nano_usd: int | None = None
    calls_unpriced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    duration_s: float | None = None
    """The mean time of the results that have one."""


class ScoreGroup(Struct, frozen=True):
    """The scores of one name, from one kind of source, in one group of results.

    `key` has the values by which it is grouped, in the order of their names. `pass_rate` is the
    part of the booleans that are true; None if the values are numbers. `errors` counts broken
    expressions, `failed` the steps of the group that have no result.
    """

    name: str
    who: Who
    key: tuple[Any, ...]
    estimate: Estimate | None
    pass_rate: float | None
    errors: int
    failed: int
    used: Used


def default_by(scores: JobScores) -> tuple[str, ...]:
    """How the scores are grouped if nobody says it: by model, if several models gave results."""
    models = {json.dumps(each.value_of(MODEL), sort_keys=True) for each in scores.results}
    return (MODEL,) if len(models) > 1 else ()


def known_names(scores: JobScores) -> tuple[str, ...]:
    """The names by which the scores can be grouped."""
    return tuple(dict.fromkeys((*scores.dimensions, MODEL, "step", "case", "who", "by", "job")))


def group_scores(
    scores: JobScores, *, by: Sequence[str] = (), seed: int = SEED
) -> list[ScoreGroup]:
    """The groups, by name of the score, in the order of their first results in the job.

    Which result was scored first depends on timing.
    """
    places = {(each.job_id, each.step): place for place, each in enumerate(scores.results)}
    found: dict[tuple[str, Who, str], list[Score]] = {}
    for score in sorted(
        scores.scores, key=lambda score: places[score.about.job_id, score.about.step]
    ):
        key = key_text([_value(score, name) for name in by]) if by else _ALL
        found.setdefault((score.name, score.who, key), []).append(score)
    failed: dict[str, list[Scored]] = {}
    for each in scores.failed:
        if not {"who", "by"} & set(by):
            failed.setdefault(key_text([_value_of(each, name) for name in by]), []).append(each)
    groups = []
    expected = scores.expected
    for name, who in dict.fromkeys([*names_of(scores.scores), *expected]):
        own = {key: members for (*of, key), members in found.items() if of == [name, who]}
        # Only these steps would have had this score.
        steps = {score.about.spec_step for members in own.values() for score in members}
        steps |= expected.get((name, who), set())
        lost = {
            key: those
            for key, each in failed.items()
            if (those := [one for one in each if one.spec_step in steps])
        }
        groups += [
            _group(members, by, seed=seed, failed=len(lost.get(key, ())))
            for key, members in own.items()
        ]
        # Groups of which no step has a result.
        for key, those in lost.items():
            if who == "expression" and key not in own:
                values = tuple(_value_of(those[0], dimension) for dimension in by)
                groups.append(ScoreGroup(name, who, values, None, None, 0, len(those), Used()))
    return groups


def use_of(results: Iterable[Scored]) -> Used:
    """What the results used together; each counts once."""
    each = list({(one.job_id, one.step): one for one in results}.values())
    costs = [one.cost_nano_usd for one in each if one.cost_nano_usd is not None]
    times = [one.duration_s for one in each if one.duration_s is not None]
    return Used(
        results=len(each),
        calls=sum(one.calls for one in each),
        cost_nano_usd=sum(costs) if costs else None,
        calls_unpriced=sum(one.calls_unpriced for one in each),
        input_tokens=sum(one.input_tokens for one in each),
        output_tokens=sum(one.output_tokens for one in each),
        duration_s=sum(times) / len(times) if times else None,
    )


def clusters_of(scores: Iterable[Score]) -> list[list[float]]:
    """The values of the scores, those of each case together; of a single case, each by itself."""
    found: dict[str, list[float]] = {}
    for score in scores:
        if score.value is not None:
            found.setdefault(score.about.case, []).append(score.value)
    if len(found) == 1:
        return [[value] for values in found.values() for value in values]
    return list(found.values())


def pass_rate_of(scores: Iterable[Score]) -> float | None:
    """The part of the booleans that are true; None if there are none."""
    passed = [score.passed for score in scores if score.passed is not None]
    return sum(passed) / len(passed) if passed else None


def _group(members: list[Score], by: Sequence[str], *, seed: int, failed: int) -> ScoreGroup:
    first = members[0]
    key = tuple(_value(first, name) for name in by)
    text = f"{seed}/{first.name}/{first.who}/{key_text(key)}"
    return ScoreGroup(
        name=first.name,
        who=first.who,
        key=key,
        estimate=estimate(clusters_of(members), seed=text),
        pass_rate=pass_rate_of(members),
        errors=sum(score.error is not None for score in members),
        failed=failed,
        used=use_of(score.about for score in members),
    )


def _value(score: Score, name: str) -> Any:
    if name == "who":
        return score.who
    return score.by if name == "by" else _value_of(score.about, name)


def _value_of(result: Scored, name: str) -> Any:
    if name == "case" and "case" not in result.dimensions:
        return result.case
    return result.value_of(name)


def key_text(key: Iterable[Any]) -> str:
    """The values of a group as JSON text: equal for equal values."""
    return encode_key(list(key))

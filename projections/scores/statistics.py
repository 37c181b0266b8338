"""Means with standard errors and intervals, for values in clusters. Pure, and without numpy.

A cluster is what belongs to one case: its repetitions, and its results by several models. Values of
one cluster are not independent, so that errors are computed from clusters and not from values.
`docs/scores.md` has the formulae.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from random import Random

from msgspec import Struct

CONFIDENCE = 0.95
SAMPLES = 2000
"""The samples of a bootstrap."""
NORMAL_FROM = 500
"""From this number of clusters on, the interval is mean ± 1.96 standard errors: as good, and at once."""
_Z = 1.959963984540054
SAME = 1e-12
"""Smaller differences come from rounding, also those of a smaller part of the numbers."""


class Estimate(Struct, frozen=True):
    """The mean of `n` values in `clusters` clusters; with one cluster, nothing is known of its error.

    `low` and `high` are the ends of the 95 % interval.
    """

    n: int
    clusters: int
    mean: float
    error: float | None = None
    low: float | None = None
    high: float | None = None


class _Cluster(Struct, frozen=True):
    total: float
    size: int


def estimate(clusters: Iterable[Sequence[float]], *, seed: str) -> Estimate | None:
    """The estimate of the mean of all values; None without values. Equal seeds give equal results."""
    found = [_Cluster(math.fsum(values), len(values)) for values in clusters if values]
    if not found:
        return None
    n = sum(each.size for each in found)
    mean = math.fsum(each.total for each in found) / n
    if len(found) == 1:
        return Estimate(n, 1, mean)
    error = _standard_error(found, n, mean)
    low, high = _interval(found, mean, error, Random(seed))  # noqa: S311  (for sampling)
    return Estimate(n, len(found), mean, error, low, high)


def _standard_error(clusters: Sequence[_Cluster], n: int, mean: float) -> float:
    """The cluster-robust standard error of a mean, with the correction G / (G - 1).

    With one value a cluster, it is s / √n. It is that of a regression on a constant with clustered
    errors (A. C. Cameron and D. L. Miller, A Practitioner's Guide to Cluster-Robust Inference, 2015).
    """
    count = len(clusters)
    squares = math.fsum((each.total - each.size * mean) ** 2 for each in clusters)
    return math.sqrt(count / (count - 1) * squares) / n


def _interval(
    clusters: Sequence[_Cluster], mean: float, error: float, random: Random
) -> tuple[float, float]:
    """The percentile interval of a bootstrap that draws whole clusters, with replacement.

    B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    count = len(clusters)
    if error == 0.0:
        return mean, mean
    if count >= NORMAL_FROM:
        return mean - _Z * error, mean + _Z * error
    means = sorted(_sample_means(clusters, random))
    tail = (1 - CONFIDENCE) / 2
    return quantile(means, tail), quantile(means, 1 - tail)


def _sample_means(clusters: Sequence[_Cluster], random: Random) -> list[float]:
    count = len(clusters)
    totals = [each.total for each in clusters]
    if len({each.size for each in clusters}) == 1:
        n = count * clusters[0].size
        return [math.fsum(random.choices(totals, k=count)) / n for _ in range(SAMPLES)]
    found = []
    for _ in range(SAMPLES):
        drawn = random.choices(clusters, k=count)
        found.append(math.fsum(each.total for each in drawn) / sum(each.size for each in drawn))
    return found


def is_same(one: float, other: float) -> bool:
    """Whether the two differ by rounding at most."""
    return math.isclose(one, other, rel_tol=SAME, abs_tol=SAME)


def quantile(ordered: Sequence[float], fraction: float) -> float:
    """The quantile of sorted values, interpolated linearly (type 7 of Hyndman and Fan, 1996).

    Raises IndexError without values.
    """
    place = fraction * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])

"""Means, errors and intervals, compared with statsmodels and scipy.

Tests import these two themselves: each worker of pytest imports this module, and one runs it.
"""

from __future__ import annotations

import math
import random
import time

import numpy as np
import pytest

from orc.projections.scores.statistics import NORMAL_FROM, Estimate, estimate, quantile
from tests.each_case import each_case

SINGLE = [[x] for x in (0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.5, 0.25, 0.9)]


def clusters_of(seed: int, count: int, sizes: tuple[int, int] = (1, 5)) -> list[list[float]]:
    """Clusters of values that are near to a value of their own."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        middle = chance.gauss(0.5, 0.3)
        found.append([middle + chance.gauss(0, 0.1) for _ in range(chance.randint(*sizes))])
    return found


def estimated(clusters: list[list[float]], seed: str = "0") -> Estimate:
    found = estimate(clusters, seed=seed)
    assert found is not None
    return found


@each_case("seed", range(20))
def test_the_error_of_clusters_is_that_of_statsmodels(seed: int) -> None:
    import statsmodels.api as sm

    clusters = clusters_of(seed, 3 + seed * 2)
    values = [value for cluster in clusters for value in cluster]
    groups = np.repeat(range(len(clusters)), [len(cluster) for cluster in clusters])
    fitted = sm.OLS(values, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": groups}
    )
    found = estimated(clusters)
    assert found.mean == pytest.approx(fitted.params[0], rel=1e-12)
    assert found.error == pytest.approx(fitted.bse[0], rel=1e-9)
    assert (found.n, found.clusters) == (len(values), len(clusters))


def test_with_one_value_a_cluster_the_error_is_that_of_scipy() -> None:
    import scipy.stats

    values = [value for (value,) in SINGLE]
    assert estimated(SINGLE).error == pytest.approx(scipy.stats.sem(values), rel=1e-12)


@pytest.mark.parametrize("fraction", [0.0, 0.025, 0.3, 0.5, 0.975, 1.0])
def test_quantiles_are_those_of_numpy(fraction: float) -> None:
    values = sorted(value for cluster in clusters_of(1, 17) for value in cluster)
    assert quantile(values, fraction) == pytest.approx(np.quantile(values, fraction), rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_the_interval_is_near_to_the_percentile_bootstrap_of_scipy(seed: int) -> None:
    import scipy.stats

    values = [value for cluster in clusters_of(seed, 40, (1, 1)) for value in cluster]
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    found = estimated([[value] for value in values])
    assert found.low == pytest.approx(theirs.low, abs=found.error or 0.0, rel=0)
    assert found.error is not None
    assert abs((found.low or 0) - theirs.low) < found.error / 5
    assert abs((found.high or 0) - theirs.high) < found.error / 5


def test_repetitions_of_a_case_do_not_make_an_interval_narrower() -> None:
    once = estimated(SINGLE)
    thrice = estimated([cluster * 3 for cluster in SINGLE])
    assert (thrice.n, thrice.clusters) == (3 * once.n, once.clusters)
    assert thrice.mean == pytest.approx(once.mean)
    assert thrice.error == pytest.approx(once.error)


def test_the_interval_has_the_mean_in_about_95_of_100_samples() -> None:
    hits = 0
    for seed in range(200):
        found = estimated(clusters_of(seed, 40, (3, 3)))
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.5 <= found.high
    assert 180 <= hits <= 198


def test_equal_seeds_give_equal_intervals_and_others_give_others() -> None:
    clusters = clusters_of(3, 30)
    assert estimated(clusters, "a") == estimated(clusters, "a")
    assert estimated(clusters, "a").low != estimated(clusters, "b").low


def test_one_cluster_has_a_mean_and_no_interval() -> None:
    assert estimated([[1.0, 0.0]]) == Estimate(2, 1, 0.5)


def test_no_value_gives_no_estimate() -> None:
    assert estimate([], seed="0") is None
    assert estimate([[], []], seed="0") is None


def test_equal_values_have_an_interval_without_width() -> None:
    assert estimated([[1.0]] * 20) == Estimate(20, 20, 1.0, 0.0, 1.0, 1.0)


def test_large_groups_are_quick_and_very_large_ones_use_the_normal_interval() -> None:
    began = time.process_time()
    found = estimated(clusters_of(1, 3000, (1, 1)))
    assert time.process_time() - began < 2.0
    assert found.error is not None
    normal = 1.959963984540054 * found.error
    assert (found.high or 0) - found.mean == pytest.approx(normal, rel=0.1)
    many = estimated(clusters_of(1, NORMAL_FROM, (1, 1)))
    assert many.error is not None
    assert (many.high or 0) == pytest.approx(many.mean + 1.959963984540054 * many.error)
    assert math.isfinite(many.mean)

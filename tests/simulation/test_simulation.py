"""Simulated jobs with clocks, random numbers and faults from a seed: all rules hold, and all jobs end.

`ORC_SIM_SEED=17` runs one seed and prints its history. `ORC_SIM_SEEDS=5000` runs the seeds from 0
to 4999 (`make simulate`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.simulation.simulation import Told, simulate

ALONE = os.environ.get("ORC_SIM_SEED")
SEEDS = int(os.environ.get("ORC_SIM_SEEDS", "60"))
"""The first 60 have each kind of fault, and each type of event, that the first 100 have."""

MORE = 5000
_BATCH = 20
ROOT = Path(__file__).parents[2]

FOUND = {
    "two signals to cancel, and one resume after which both have had their end": 163,
    "two signals to cancel that are seen at once, and what is meant for the end": 377,
    "a step in doubt asks a person while its job is cancelled": 1476,
    "a tag that is sent right before the job's end": 1367,
    "a server that has room again fails twice in other ways": 2672,
    "a step that a judge has scored starts again": 5174,
}
"""Seeds that once found a mistake, by what it was about."""

pytestmark = pytest.mark.skipif(ALONE is not None, reason="ORC_SIM_SEED asks for one seed alone")


def batches(first: int, last: int) -> Sequence[range]:
    return [range(at, min(at + _BATCH, last)) for at in range(first, last, _BATCH)]


def name_of(seeds: range) -> str:
    return f"{seeds.start}-{seeds.stop - 1}"


@pytest.mark.parametrize("seeds", batches(0, SEEDS), ids=name_of)
def test_a_job_with_faults_breaks_no_rule_and_ends_as_predicted(seeds: range) -> None:
    for seed in seeds:
        simulate(seed)


@pytest.mark.parametrize("seed", FOUND.values(), ids=list(FOUND))
def test_seeds_that_found_bugs_break_no_rule(seed: int) -> None:
    simulate(seed)


@pytest.mark.torture
@pytest.mark.parametrize("seeds", batches(SEEDS, SEEDS + MORE), ids=name_of)
def test_many_more_seeds_break_no_rule(seeds: range) -> None:
    for seed in seeds:
        simulate(seed)


@pytest.mark.torture
def test_the_seeds_see_every_kind_of_fault() -> None:
    struck: Counter[str] = Counter()
    for seed in range(1000, 1080):
        struck += simulate(seed).struck
    kinds = {what.partition(" ")[0] for what in struck}
    assert kinds >= {"die", "ENOSPC", "EIO", "jump", "stop", "cancel", "asked"}


def digests(told: Sequence[Told]) -> list[str]:
    return [f"{one.seed} {one.digest()}" for one in told]


def test_a_seed_gives_the_same_events_again_in_any_process() -> None:
    seeds = range(4)
    first = digests([simulate(seed) for seed in seeds])
    assert digests([simulate(seed) for seed in seeds]) == first
    found = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *map(str, seeds)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert found.stdout.splitlines() == first

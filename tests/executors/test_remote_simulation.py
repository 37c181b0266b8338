"""Jobs on an engine with faults: what must never be, and what must happen once faults stop.

`ORC_SIM_SEED=17` runs one seed and prints what happened.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.executors.remote_simulation import history_of, simulate

SEEDS = 25
MANY_SEEDS = 1500
BATCH = 100


@pytest.mark.parametrize("seed", [*range(SEEDS)])
def test_no_two_commands_of_a_step_run_at_once_and_each_job_ends(seed: int, tmp_path: Path) -> None:
    chosen = os.environ.get("ORC_SIM_SEED")
    if chosen is not None:
        seed = int(chosen)
    problems, world = simulate(seed, tmp_path)
    if chosen is not None:
        print(history_of(world))
    assert not problems, f"seed {seed}: {problems}"


@pytest.mark.torture
@pytest.mark.parametrize("first", range(1000, 1000 + MANY_SEEDS, BATCH))
def test_many_seeds(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + BATCH):
        problems, _ = simulate(seed, tmp_path)
        assert not problems, f"seed {seed}: {problems}"


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32),
    harm_s=st.floats(0, 300),
    deaths=st.integers(0, 8),
)
def test_any_length_of_harm_and_any_number_of_deaths_change_no_rule(
    seed: int, harm_s: float, deaths: int, tmp_path: Path
) -> None:
    problems, _ = simulate(seed, tmp_path, harm_s=harm_s, deaths=deaths)
    assert not problems


def test_a_seed_gives_the_same_history_again(tmp_path: Path) -> None:
    first, second = (history_of(simulate(3, tmp_path)[1]) for _ in range(2))
    assert first == second
    assert "placed" in first


def test_the_seeds_have_all_that_can_happen(tmp_path: Path) -> None:
    told = "\n".join(history_of(simulate(seed, tmp_path)[1]) for seed in range(SEEDS))
    for what in ("reattached", "unplaced", "lost: ", "exit 0", "is stopped", "is killed"):
        assert what in told

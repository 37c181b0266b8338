"""Runs one seed and prints its history: `ORC_SIM_SEED=17 pytest -n0 tests/simulation`."""

from __future__ import annotations

import os

import pytest

from tests.simulation.simulation import simulate

ALONE = os.environ.get("ORC_SIM_SEED")


@pytest.mark.skipif(ALONE is None, reason="ORC_SIM_SEED names no seed")
def test_the_seed_breaks_no_rule(capsys: pytest.CaptureFixture[str]) -> None:
    told = simulate(int(ALONE or 0))
    with capsys.disabled():
        print(f"\nseed {told.seed}", *told.lines, sep="\n")

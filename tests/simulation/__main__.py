"""Prints one line with the digest of each given seed's run, to compare runs on other machines."""

from __future__ import annotations

import sys

from tests.simulation.simulation import simulate

for argument in sys.argv[1:]:
    told = simulate(int(argument))
    print(told.seed, told.digest())

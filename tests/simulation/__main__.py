"""What the seeds that are named give, a line each: to compare with what they give elsewhere."""

from __future__ import annotations

import sys

from tests.simulation.simulation import simulate

for argument in sys.argv[1:]:
    told = simulate(int(argument))
    print(told.seed, told.digest())

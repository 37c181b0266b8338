"""Runs a sample of mutants: `python -m tests.mutation 200 --seed 7 masking trust`.

Ends with 1 if a mutant survives that `survivors.yaml` does not explain. Mutants that none of the
nearest tests executes are only counted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.mutation.runner import run_sample
from tests.mutation.survivors import read_survivors


def main() -> int:
    """Run the sample, and print what survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("count", type=int, help="how many mutants")
    parser.add_argument("targets", nargs="*", help="names of tests/mutation/targets.py; else all")
    parser.add_argument("--seed", type=int, default=0, help="which sample")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orc-mutants-") as folder:
        mutants = run_sample(options.count, options.seed, options.targets, Path(folder))
    statuses = Counter(mutant.status for mutant in mutants)
    explained = read_survivors()
    left = [
        mutant
        for mutant in mutants
        if mutant.status == "survived" and not any(one.explains(mutant) for one in explained)
    ]
    for mutant in left:
        print(mutant.diff or mutant.name, "\n")
    counts = ", ".join(f"{number} {status}" for status, number in sorted(statuses.items()))
    print(f"seed {options.seed}: {len(mutants)} mutants: {counts}; {len(left)} not explained")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())

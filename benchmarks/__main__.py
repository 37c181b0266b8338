"""Prints each measured figure and its ratio to a yardstick.

Options: --json, --rounds N, --only PART (such as `cluster`; may be given again), --record (one round;
keeps the figures in `benchmarks/results.json` and renders `docs/performance.md`).

Every round measures the yardstick right before and right after the job that is compared with it,
because the speed of a disk changes within seconds; what costs processor time is measured in turns with
its yardstick. The ratio is the median of those of all rounds and turns.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import recording
from benchmarks.figures import line_of
from benchmarks.parts import LONG, PARTS
from orc.cli.collector import tune_collector


def main() -> None:
    """Run every measurement, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.record else 3)
    chosen = options.only or [name for name in PARTS if not (options.record and name in LONG)]
    tune_collector()
    figures: list[dict[str, Any]] = []
    # In the current folder, not in /tmp, which may be in memory, where a sync costs nothing.
    with tempfile.TemporaryDirectory(dir=".", prefix=".bench-") as name:
        folder = Path(name).absolute()
        for part in chosen:
            began = time.monotonic()
            found = PARTS[part](folder, rounds)
            figures += found
            if not options.json:
                print("\n".join(map(line_of, found)), flush=True)
            if options.record and found:
                took_s = time.monotonic() - began
                recording.record_part(part, found, rounds=rounds, took_s=took_s)
    if options.record:
        recording.render_page()
    if options.json:
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

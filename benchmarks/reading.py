"""What it costs to read a job again: `orc resume` with all but one step done, and `orc verify`.

Each command is a process of its own. Its start-up is left out: the cost of a job with one step is
subtracted. The ledger is in memory where the system has `/dev/shm`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import jobs
from benchmarks.figures import figure_of
from benchmarks.items import spend
from benchmarks.memory import in_memory
from benchmarks.turns import in_turns
from orc.ledger import LedgerReader

COUNTS = SMALL, LARGE = 10_000, 100_000
_UNTIL_READY = "\n  last: {run: 'test -e \"$READY\"', env: {READY: '%s'}}\n"


@dataclass(frozen=True, slots=True)
class EventCost:
    """What each event costs, and the memory of each step, without those of a job with one step."""

    resume_us: float
    verify_us: float
    memory_kb: float
    peak_mb: float


def figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """The rows for a job of 100,000 steps, each beside those of a job of 10,000."""
    with in_memory(folder) as place:
        found = in_turns({count: partial(_cost, place, count) for count in COUNTS}, rounds)
    small, large = found[SMALL], found[LARGE]
    beside = "the same, 10,000 steps"
    return [
        figure_of(
            "resume, 99,999 of 100,000 steps done: us CPU an event",
            [cost.resume_us for cost in large],
            f"{beside}: us",
            [cost.resume_us for cost in small],
            target="<= 1.2",
        ),
        figure_of(
            "the same: events/s of CPU",
            [1e6 / cost.resume_us for cost in large],
            f"{beside}: events/s",
            [1e6 / cost.resume_us for cost in small],
            target=">= 200,000 events/s",
        ),
        figure_of(
            "the same, memory: kB a step",
            [cost.memory_kb for cost in large],
            f"{beside}: kB",
            [cost.memory_kb for cost in small],
            target="<= 6 kB",
        ),
        figure_of("the same, memory at most: MB", [cost.peak_mb for cost in large], "", []),
        figure_of(
            "orc verify, 100,000 steps: events/s of CPU",
            [1e6 / cost.verify_us for cost in large],
            f"{beside}: events/s",
            [1e6 / cost.verify_us for cost in small],
            target=">= 100,000 events/s",
        ),
    ]


def _cost(folder: Path, count: int) -> EventCost:
    base, found = _measured(folder, 1), _measured(folder, count)
    events = found.events - base.events
    return EventCost(
        (found.resume_s - base.resume_s) / events * 1e6,
        (found.verify_s - base.verify_s) / events * 1e6,
        (found.peak_bytes - base.peak_bytes) / (count - 1) / 1e3,
        found.peak_bytes / 1e6,
    )


@dataclass(frozen=True, slots=True)
class _Measured:
    events: int
    resume_s: float
    verify_s: float
    peak_bytes: int


def _measured(folder: Path, count: int) -> _Measured:
    """Resume a job whose last step is left, and verify it afterwards."""
    place = folder / f"reading-{time.monotonic_ns()}"
    place.mkdir()
    ready = place / "ready"
    (place / "spec.yaml").write_text(jobs.fan(count - 1) + _UNTIL_READY % ready, "utf-8")
    ledger = ["--db", "runs.db"]
    orc = str(Path(sys.executable).with_name("orc"))
    run = [orc, "run", "spec.yaml", "--quiet", *ledger]
    subprocess.run(run, cwd=place, capture_output=True, check=False)
    with LedgerReader.open(place / "runs.db") as reader:
        events = reader.head(reader.find_job("latest")).version
    ready.touch()
    peak = [sys.executable, "-m", "benchmarks.peak", "peak"]
    resumed = spend([*peak, "resume", "latest", "--quiet", *ledger], place)
    peak_bytes = int((place / "peak").read_text("ascii"))
    verified = spend([*peak, "verify", *ledger], place)
    return _Measured(events, resumed.cpu_s, verified.cpu_s, peak_bytes)

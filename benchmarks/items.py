"""What one more item, or one more command, costs a process of orc: processor time and memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import jobs
from benchmarks.figures import figure_of

MANY = 100_000
ORC = str(Path(sys.executable).with_name("orc"))


@dataclass(frozen=True, slots=True)
class Used:
    """What a process used: processor time of user and system, and its largest resident memory."""

    cpu_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class ItemCost:
    """The cost of each item, without that of a job with one item."""

    run_s: float
    verify_s: float
    memory_bytes: float


def items(count: int, *, concurrency: int = 1000) -> str:
    """A `for_each` of values over a list in the spec."""
    listed = ", ".join(map(str, range(count)))
    each = "{for_each: '${{ steps.list.output }}', value: '${{ item }}'}"
    return (
        f"project: items\nconcurrency: {concurrency}\n"
        f"steps:\n  list: {{value: [{listed}]}}\n  each: {each}\n"
    )


def item_cost(folder: Path, count: int, *, times: int = 1) -> ItemCost:
    """The cost of an item in a job with `count` items: the median of `times` jobs."""
    start, ended = _used(folder, 1, times), _used(folder, count, times)
    run_s, verify_s, memory = (
        (after - before) / (count - 1) for before, after in zip(start, ended, strict=True)
    )
    return ItemCost(run_s, verify_s, memory)


def capture_s(folder: Path, count: int, *, times: int = 1) -> float:
    """The processor time of each command that captures a file, with its shell, without the start."""
    start_s, ended_s = (_run_s(folder, jobs.captures(number), times) for number in (1, count))
    return (ended_s - start_s) / (count - 1)


def _run_s(folder: Path, spec: str, times: int) -> float:
    found = []
    for _ in range(times):
        place = folder / f"captures-{time.monotonic_ns()}"
        place.mkdir()
        (place / "spec.yaml").write_text(spec, "utf-8")
        ledger = ["--db", str(place / "runs.db")]
        found.append(spend([ORC, "run", "spec.yaml", "--quiet", *ledger], place).cpu_s)
    return statistics.median(found)


def _used(folder: Path, count: int, times: int) -> list[float]:
    found = []
    for _ in range(times):
        place = folder / f"items-{time.monotonic_ns()}"
        place.mkdir()
        (place / "spec.yaml").write_text(items(count), "utf-8")
        ledger = ["--db", str(place / "runs.db")]
        measured = [sys.executable, "-m", "benchmarks.peak", "peak"]
        run = spend([*measured, "run", "spec.yaml", "--quiet", *ledger], place)
        verify = spend([ORC, "verify", *ledger], place)
        found.append((run.cpu_s, verify.cpu_s, int((place / "peak").read_text("ascii"))))
    return [statistics.median(column) for column in zip(*found, strict=True)]


def spend(arguments: Sequence[str], folder: Path) -> Used:
    """Run a program in the folder, without output, and return what it used."""
    null = subprocess.DEVNULL
    process = subprocess.Popen(arguments, cwd=folder, stdout=null, stderr=null)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    # In kB, but in bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return Used(used.ru_utime + used.ru_stime, used.ru_maxrss * unit)


def figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Processor time, because the job with most items would wait long for its commits."""
    small: list[ItemCost] = []
    large: list[ItemCost] = []
    for _ in range(rounds):
        small.append(item_cost(folder, 1000, times=3))
        large.append(item_cost(folder, MANY))
    return [
        figure_of(
            f"{name} an item, for_each over {MANY:,}: {unit}",
            [getattr(cost, field) * scale for cost in large],
            f"the same, over 1,000: {unit}",
            [getattr(cost, field) * scale for cost in small],
            target="<= 1.2",
        )
        for name, field, unit, scale in (
            ("orc run,", "run_s", "us", 1e6),
            ("orc verify,", "verify_s", "us", 1e6),
            ("memory of orc run,", "memory_bytes", "kB", 1e-3),
        )
    ]


def capture_figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Commands that capture a file each, many beside few."""
    small: list[float] = []
    large: list[float] = []
    for _ in range(rounds):
        small.append(capture_s(folder, 200, times=3) * 1e3)
        large.append(capture_s(folder, 2000) * 1e3)
    return [
        figure_of(
            "2,000 commands that capture a file: ms a command",
            large,
            "the same, 200: ms",
            small,
            target="<= 1.2",
        )
    ]

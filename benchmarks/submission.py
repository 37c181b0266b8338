"""What submission costs: a spec is parsed, checked, resolved and recorded, in a process of its own.

The yardstick is the time in which libyaml parses the same text into plain objects. Start-up is left
out of both: the cost of a job with one step is subtracted.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import jobs
from benchmarks.figures import figure_of
from benchmarks.items import spend

_PARSE = "import sys, yaml; yaml.load(open(sys.argv[1]), Loader=yaml.CSafeLoader)"
SMALL, LARGE = 1_000, 10_000


@dataclass(frozen=True, slots=True)
class StepCost:
    """The processor time and memory of each step, without those of a job with one step."""

    cpu_us: float
    memory_kb: float
    base_mb: float
    peak_mb: float


def figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """What each step costs until it is recorded, in memory where the system has `/dev/shm`."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else folder) as name:
        # There no sync of a disk counts as processor time.
        return _figures(Path(name), rounds)


def _figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    submit = _least(folder, ["submit"], LARGE, rounds)
    small = _least(folder, ["submit"], SMALL, rounds)
    validate = _least(folder, ["validate"], LARGE, rounds)
    run = _least(folder, ["run", "--quiet"], LARGE, rounds)
    yaml_us = _parse_us(folder, LARGE, rounds)

    def row(name: str, value: float, beside: str, yard: float, cost: StepCost, target: str) -> Any:
        yards = [yard] if beside else []
        peak = {"cpu_us_a_step": cost.cpu_us, "peak_mb": cost.peak_mb}
        return figure_of(name, [value], beside, yards, target=target) | peak

    parsed = "libyaml into plain objects: us CPU a step"
    return [
        row("submit 10,000: us CPU a step", submit.cpu_us, parsed, yaml_us, submit, "<= 2.5"),
        row("validate 10,000: us CPU a step", validate.cpu_us, parsed, yaml_us, validate, ""),
        row(
            "submit 10,000: us CPU a step",
            submit.cpu_us,
            "submit 1,000: us",
            small.cpu_us,
            submit,
            "<= 1.2",
        ),
        row("memory of submit 10,000: kB a step", submit.memory_kb, "", 0, submit, "<= 6 kB"),
        row("memory of submit, one step: MB", submit.base_mb, "", 0, submit, "<= 60 MB"),
        row("run a fan of 10,000: us CPU a step", run.cpu_us, "", 0, run, ""),
        row("memory of run, fan of 10,000: kB a step", run.memory_kb, "", 0, run, "<= 6 kB"),
        row("memory of run, one step: MB", run.base_mb, "", 0, run, "<= 60 MB"),
    ]


def _least(folder: Path, command: Sequence[str], count: int, rounds: int) -> StepCost:
    """The least of each measurement: a step's cost is the difference of two, and each has noise."""
    base_s, base = _least_used(folder, command, 1, rounds)
    ended_s, ended = _least_used(folder, command, count, rounds)
    steps = count - 1
    return StepCost(
        (ended_s - base_s) / steps * 1e6, (ended - base) / steps / 1e3, base / 1e6, ended / 1e6
    )


def _least_used(folder: Path, command: Sequence[str], count: int, rounds: int) -> tuple[float, int]:
    used = [_used(folder, command, count) for _ in range(rounds)]
    return min(cpu_s for cpu_s, _ in used), min(peak for _, peak in used)


def _used(folder: Path, command: Sequence[str], count: int) -> tuple[float, int]:
    """The processor time and the largest memory of one command."""
    place = folder / f"submission-{time.monotonic_ns()}"
    place.mkdir()
    (place / "spec.yaml").write_text(jobs.fan(count), "utf-8")
    ledger = ["--db", "runs.db"] if command[0] != "validate" else []
    program = [sys.executable, "-m", "benchmarks.peak", "peak", *command, "spec.yaml", *ledger]
    used = spend(program, place)
    return used.cpu_s, int((place / "peak").read_text("ascii"))


def _parse_us(folder: Path, count: int, rounds: int) -> float:
    found = []
    for each in (1, count):
        spec = folder / f"parsed-{each}.yaml"
        spec.write_text(jobs.fan(each), "utf-8")
        program = [sys.executable, "-c", _PARSE, str(spec)]
        found.append(min(spend(program, folder).cpu_s for _ in range(rounds)))
    return (found[1] - found[0]) / (count - 1) * 1e6

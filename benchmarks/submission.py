"""What submission costs: a spec is parsed, checked, resolved and recorded, in a process of its own.

The yardstick is the time in which libyaml parses the same text into plain objects. Start-up is left
out of both: the cost of a job with one step is subtracted.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import jobs
from benchmarks.figures import figure_of
from benchmarks.items import Used, spend
from benchmarks.memory import in_memory
from benchmarks.turns import in_turns

_PARSE = "import sys, yaml; yaml.load(open(sys.argv[1]), Loader=yaml.CSafeLoader)"
LARGE, HUGE = 10_000, 40_000
_COMMANDS = {
    "submit": (1, LARGE, HUGE),
    "validate": (1, LARGE),
    "run": (1, LARGE),
    _PARSE: (1, LARGE),
}
"""What is measured, and for how many steps."""

_TURNS = 5


@dataclass(frozen=True, slots=True)
class StepCost:
    """The processor time and memory of each step, without those of a job with one step."""

    cpu_us: float
    memory_kb: float
    base_mb: float
    peak_mb: float


def figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """What each step costs until it is recorded, in memory where the system has `/dev/shm`."""
    with in_memory(folder) as place:
        return _figures(place, _TURNS * rounds)


def _figures(folder: Path, turns: int) -> list[dict[str, Any]]:
    measures = {
        (command, count): partial(_used, folder, command, count)
        for command, counts in _COMMANDS.items()
        for count in counts
    }
    used = {key: _least(found) for key, found in in_turns(measures, turns).items()}

    def costs(command: str, count: int) -> StepCost:
        return _cost_of(used[command, 1], used[command, count], count - 1)

    submit, validate, run = (costs(command, LARGE) for command in ("submit", "validate", "run"))
    submit_huge, parse = costs("submit", HUGE), costs(_PARSE, LARGE)
    parsed = "libyaml into plain objects: us CPU a step"
    return [
        _row("submit 10,000: us CPU a step", "cpu_us", submit, "<= 2.5", parsed, parse),
        _row("validate 10,000: us CPU a step", "cpu_us", validate, "", parsed, parse),
        _row(
            "submit 40,000: us CPU a step",
            "cpu_us",
            submit_huge,
            "<= 1.2",
            "submit 10,000: us",
            submit,
        ),
        _row("memory of submit 10,000: kB a step", "memory_kb", submit, "<= 6 kB"),
        _row("memory of submit, one step: MB", "base_mb", submit, "<= 60 MB"),
        _row("run a fan of 10,000: us CPU a step", "cpu_us", run, ""),
        _row("memory of run, fan of 10,000: kB a step", "memory_kb", run, "<= 6 kB"),
        _row("memory of run, one step: MB", "base_mb", run, "<= 60 MB"),
    ]


def _row(
    name: str,
    field: str,
    cost: StepCost,
    target: str,
    beside: str = "",
    yard: StepCost | None = None,
) -> dict[str, Any]:
    """The figure of one field, beside the processor time of the yardstick."""
    yards = [] if yard is None else [yard.cpu_us]
    more = {"cpu_us_a_step": cost.cpu_us, "peak_mb": cost.peak_mb}
    return figure_of(name, [getattr(cost, field)], beside, yards, target=target) | more


def _least(found: Sequence[Used]) -> Used:
    """The least of each measurement: a step's cost is the difference of two, and each has noise."""
    return Used(min(one.cpu_s for one in found), min(one.memory_bytes for one in found))


def _cost_of(base: Used, ended: Used, steps: int) -> StepCost:
    return StepCost(
        (ended.cpu_s - base.cpu_s) / steps * 1e6,
        (ended.memory_bytes - base.memory_bytes) / steps / 1e3,
        base.memory_bytes / 1e6,
        ended.memory_bytes / 1e6,
    )


def _used(folder: Path, command: str, count: int) -> Used:
    """The processor time and the largest memory of one command, or of the yardstick."""
    place = folder / f"submission-{time.monotonic_ns()}"
    place.mkdir()
    (place / "spec.yaml").write_text(jobs.fan(count), "utf-8")
    if command == _PARSE:
        return spend([sys.executable, "-c", _PARSE, "spec.yaml"], place)
    options = {"run": ["--quiet", "--db", "runs.db"], "submit": ["--db", "runs.db"]}
    orc = [command, *options.get(command, []), "spec.yaml"]
    used = spend([sys.executable, "-m", "benchmarks.peak", "peak", *orc], place)
    return replace(used, memory_bytes=int((place / "peak").read_text("ascii")))

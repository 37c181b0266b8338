"""How many steps or commands a second a job does, beside what the disk or the system alone does."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import jobs, yardsticks
from benchmarks.figures import figure_of

_COMPUTES_MS = 10


def chain(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Steps that share commits, and steps of which each is a commit of its own."""
    found = []
    for name, count, chars, target in (
        ("chain of 1,000: steps/s", 1000, 0, ">= 0.75"),
        ("chain of 10,000: steps/s", 10_000, 0, ">= 0.75"),
        ("chain of 1,000 values of 2 kB, a commit each: steps/s", 1000, 2000, ""),
    ):
        measure = partial(_steps_per_s, folder, jobs.chain(count, chars=chars), count)
        rates, raws = _beside_commits(folder, rounds, measure)
        found.append(figure_of(name, rates, "raw one-row commits/s", raws, target=target))
    return found


def _steps_per_s(folder: Path, spec: str, count: int) -> float:
    return count / jobs.run_job(folder, spec)[0]


def fans(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Many steps that end together, and how fast their events are folded."""
    small: list[float] = []
    large: list[float] = []
    folded: list[float] = []
    grouped: list[float] = []
    for _ in range(rounds):
        small.append(jobs.run_job(folder, jobs.fan(1000))[0] / 1000)
        grouped.append(yardsticks.commits_per_s(folder, rows=20_000, rows_a_commit=1000))
        took_s, database = jobs.run_job(folder, jobs.fan(10_000))
        large.append(took_s / 10_000)
        folded.append(jobs.events_folded_per_s(database))
    return [
        figure_of(
            "fan of 10,000: steps/s",
            [1 / cost for cost in large],
            "raw rows/s, 1,000 a commit",
            grouped,
            target=">= 5,000 steps/s",
        ),
        figure_of(
            "cost of a step, fan of 10,000: us",
            [cost * 1e6 for cost in large],
            "the same, fan of 1,000: us",
            [cost * 1e6 for cost in small],
            target="<= 1.2",
        ),
        figure_of("events folded/s", folded, "", [], target=""),
    ]


def layers(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Layers of steps that end together."""
    rates, raws = _beside_commits(
        folder, rounds, lambda: 1000 / jobs.run_job(folder, jobs.layers(10, 100))[0]
    )
    return [figure_of("ten layers of a hundred: steps/s", rates, "raw one-row commits/s", raws)]


def prompts(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Prompts that are answered by recorded replies."""
    spec, replies = jobs.prompts(1000)
    rates, raws = _beside_commits(
        folder, rounds, lambda: 1000 / jobs.run_job(folder, spec, replies=replies)[0]
    )
    return [
        figure_of(
            "1,000 replay prompts, 100 at once: steps/s", rates, "raw one-row commits/s", raws
        )
    ]


def commands(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Commands that do nothing."""
    rates = [200 / jobs.run_job(folder, jobs.commands(200))[0] for _ in range(rounds)]
    spawns = [1 / yardsticks.start_s(["/bin/sh", "-ec", "true"]) for _ in range(rounds)]
    return [
        figure_of(
            "200 times run: 'true', 4 at once: steps/s",
            rates,
            "sh -ec true, one by one: /s",
            spawns,
        )
    ]


def functions(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Functions that only compute, more at once than there are cores."""
    cores = os.cpu_count() or 1
    spec, modules = jobs.computing(1000, cpu_ms=_COMPUTES_MS)
    taken = [jobs.run_job(folder, spec, beside=modules)[0] for _ in range(rounds)]
    return [
        figure_of(
            f"1,000 functions of {_COMPUTES_MS} ms, 100 at once, {cores} cores: s",
            taken,
            "their work on one core: s",
            [_COMPUTES_MS] * rounds,
            target=f"<= {1.3 / cores:.2f}",
        )
    ]


def _beside_commits(
    folder: Path, rounds: int, measure: Callable[[], float]
) -> tuple[list[float], list[float]]:
    rates, raws = [], []
    for _ in range(rounds):
        before = yardsticks.commits_per_s(folder, rows=1000, rows_a_commit=1)
        rates.append(measure())
        after = yardsticks.commits_per_s(folder, rows=1000, rows_a_commit=1)
        raws.append((before + after) / 2)
    return rates, raws

"""An evaluation of 1,000 cases with 3 models on recorded replies, scored and compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import pages
from benchmarks.figures import figure_of
from benchmarks.items import ORC

MODELS = ("small", "medium", "large")
"""The models of the matrix; the replies are recorded."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a command took: seconds, of which on the processor, and its largest memory."""

    wall_s: float
    cpu_s: float
    memory_bytes: int


def spec(*, cases: int, is_scored: bool = True) -> str:
    """A matrix of cases and models, each with a prompt, and two scores if it is scored."""
    score = (
        "    score:\n"
        "      exact: ${{ output == matrix.case.right }}\n"
        "      length: {value: '${{ output | length }}', why: 'it is ${{ output }}'}\n"
    )
    listed = ", ".join(f"{{q: 'What is {n}?', right: 'It is {n}.'}}" for n in range(cases))
    return (
        "project: evaluation\nprovider: replay\nconcurrency: 100\nsteps:\n  answer:\n"
        f"    matrix:\n      model: [{', '.join(MODELS)}]\n      case: [{listed}]\n"
        "    model: ${{ matrix.model }}\n    prompt: ${{ matrix.case.q }}\n"
        + (score if is_scored else "")
    )


def replies(*, cases: int, wrong: int) -> str:
    """The reply of each item; those of one case in `wrong` are not right."""
    lines = ["replies:"]
    for number in range(cases * len(MODELS)):
        case = number % cases
        text = f"It is {case}." if case % wrong else "It is not known."
        usage = "usage: {input_tokens: 20, output_tokens: 30}"
        lines.append(f"  answer[{number}]: [{{text: '{text}', {usage}}}]")
    return "\n".join(lines)


class Evaluation:
    """Jobs of evaluations in one ledger, in a folder of their own."""

    def __init__(self, folder: Path, *, cases: int) -> None:
        self.folder = folder / f"evaluation-{time.monotonic_ns()}"
        self.folder.mkdir()
        self.cases = cases
        self.database = self.folder / "runs.db"

    @property
    def items(self) -> int:
        """The number of results of a job."""
        return self.cases * len(MODELS)

    def run(self, *, wrong: int = 10, is_scored: bool = True) -> Command:
        """Run one more job."""
        (self.folder / "spec.yaml").write_text(spec(cases=self.cases, is_scored=is_scored))
        (self.folder / "spec.replay.yaml").write_text(replies(cases=self.cases, wrong=wrong))
        measured = [sys.executable, "-m", "benchmarks.peak", "peak", "run", "spec.yaml", "--quiet"]
        used = spend([*measured, "--db", str(self.database)], self.folder)
        return replace(used, memory_bytes=int((self.folder / "peak").read_text("ascii")))

    def spend(self, *arguments: str) -> Command:
        """Run a command of orc on the ledger."""
        return spend([ORC, *arguments, "--db", str(self.database)], self.folder)

    def size_bytes(self) -> int:
        """The size of the ledger's file."""
        return self.database.stat().st_size

    def page_ms(self, *, times: int) -> dict[str, list[float]]:
        """The times of the page of results, of that of a comparison, and of a page of Datasette."""
        listed = subprocess.run(
            [ORC, "list", "--json", "--db", str(self.database)],
            check=True,
            capture_output=True,
            text=True,
            cwd=self.folder,
        )
        ids = [job["job_id"] for job in map(json.loads, listed.stdout.splitlines()) if job]
        with pages.server(self.database) as url:
            base = f"{url}/-/orc/{self.database.stem}"
            addresses = {
                "results": f"{base}/{ids[0]}/results",
                "compare": f"{base}/compare?job={ids[1]}&job={ids[0]}",
                "table": f"{url}/{self.database.stem}/jobs",
            }
            for address in addresses.values():
                pages.load_ms(address)
            return {
                name: [pages.load_ms(address) for _ in range(times)]
                for name, address in addresses.items()
            }


Row = tuple[str, list[float], str, list[float], str]
"""A figure: its name and values, its yardstick and the values of that, and its target."""


def figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """An evaluation of a thousand cases, and what reads it."""
    return [
        figure_of(name, values, beside, yards, target=target)
        for name, values, beside, yards, target in _rows(folder, rounds, cases=1000)
    ]


def _rows(folder: Path, rounds: int, *, cases: int) -> list[Row]:
    """Jobs with scores beside jobs without, in rounds; then the commands and pages that read them."""
    ran: list[dict[str, float]] = []
    for _ in range(rounds):
        small, plain, scored = (Evaluation(folder, cases=n) for n in (1, cases, cases))
        start, without, found = small.run(), plain.run(is_scored=False), scored.run()
        more = scored.items - small.items
        ran.append(
            {
                "wall": found.wall_s / scored.items * 1e3,
                "wall without": without.wall_s / scored.items * 1e3,
                "cpu": (found.cpu_s - start.cpu_s) / more * 1e3,
                "cpu without": (without.cpu_s - start.cpu_s) / more * 1e3,
                "memory": (found.memory_bytes - start.memory_bytes) / more / 1e3,
                "memory without": (without.memory_bytes - start.memory_bytes) / more / 1e3,
                "size": scored.size_bytes() / scored.items / 1e3,
                "size without": plain.size_bytes() / scored.items / 1e3,
            }
        )
    scored.run(wrong=7)
    read: dict[str, list[float]] = {"list": [], "group": [], "case": [], "compare": []}
    for _ in range(rounds):
        read["list"].append(scored.spend("list").cpu_s)
        read["group"].append(scored.spend("scores", "latest").cpu_s)
        read["case"].append(scored.spend("scores", "latest", "--by", "model,case").cpu_s)
        read["compare"].append(scored.spend("scores", "latest~1", "latest").cpu_s)
    shown = scored.page_ms(times=rounds * 5)
    job = f"{cases:,} cases x {len(MODELS)} models on recorded replies"
    table = "Datasette's own page of the table jobs: ms"
    return [
        *(
            (
                f"{job}, {what} an item: {unit}",
                [values[key] for values in ran],
                f"without scores: {unit}",
                [values[f"{key} without"] for values in ran],
                target,
            )
            for what, key, unit, target in (
                ("wall time", "wall", "ms", ""),
                ("CPU", "cpu", "ms", "<= 1.4"),
                ("memory", "memory", "kB", "<= 1.3"),
                ("ledger", "size", "kB", "<= 1.5"),
            )
        ),
        *(
            (f"orc scores {what}: s CPU", read[key], "orc list: s CPU", read["list"], "<= 1 s")
            for what, key in (("JOB", "group"), ("--by model,case", "case"), ("A B", "compare"))
        ),
        *(
            (
                f"page {name}, {scored.items:,} items: ms",
                shown[name],
                table,
                shown["table"],
                "<= 300 ms",
            )
            for name in ("results", "compare")
        ),
    ]


def spend(arguments: Sequence[str], folder: Path) -> Command:
    """Run a command that must succeed; what it took."""
    null = subprocess.DEVNULL
    started = time.perf_counter()
    process = subprocess.Popen(arguments, cwd=folder, stdout=null, stderr=null)
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    # In kB, but in bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return Command(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss * unit)

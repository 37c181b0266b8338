"""The start of commands that do little, each beside the imports of which it cannot do without.

The figures are processor time of the whole process: it is most of the duration, and other programs
on the machine change it less.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import jobs
from benchmarks.figures import figure_of

RUN = "trio, pydantic, yaml, jinja2"
LOOK = "sqlite3, rich"
SHORT = "click"


@dataclass(frozen=True)
class Start:
    """A command, the imports that it is compared with, and the ratio that it should not exceed.

    `completes` is a line that a shell wants to be completed, as the script for bash passes it.
    """

    name: str
    arguments: list[str]
    imports: str
    ratio_max: float
    completes: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """The variables with the line that is to be completed."""
        if not self.completes:
            return {}
        words = {"COMP_WORDS": self.completes, "COMP_CWORD": str(self.completes.count(" "))}
        return {"_ORC_COMPLETE": "complete_bash", **words}


def starts(folder: Path, database: Path, job_id: str, step: str) -> list[Start]:
    """The measured commands; `database` is the ledger of a small job."""
    spec = folder / "one_step.yaml"
    spec.write_text("{project: one, steps: {only: {value: 1}}}\n", "utf-8")
    ledger = ["--db", str(database)]
    own = ["--db", str(folder / "one_step.db")]
    return [
        Start("orc --version", ["--version"], SHORT, 1.5),
        Start("orc --help", ["--help"], SHORT, 1.5),
        Start("orc list", ["list", *ledger], LOOK, 1.3),
        Start("orc show", ["show", job_id, *ledger], LOOK, 1.3),
        Start("orc why", ["why", job_id, step, *ledger], LOOK, 1.3),
        Start("orc show <TAB>", [], SHORT, 1.5, f"orc show --db {database} "),
        Start("orc run <TAB>", [], SHORT, 1.5, f"orc run {folder}/"),
        Start("orc run, one step", ["run", str(spec), "--quiet", *own], RUN, 1.3),
    ]


def orc_s(arguments: list[str], variables: Mapping[str, str] | None = None) -> float:
    """Seconds of processor time that `orc` takes with these arguments, and variables of its own."""
    return _least_s([str(Path(sys.executable).with_name("orc")), *arguments], variables or {})


def imports_s(modules: str) -> float:
    """Seconds of processor time that Python takes to start and to import these modules."""
    return _least_s([sys.executable, "-c", f"import {modules}"], {})


def _least_s(command: list[str], variables: Mapping[str, str], *, times: int = 5) -> float:
    """The least of some runs; the first is not counted, as it may write compiled modules."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment |= variables
    taken = []
    for _ in range(times + 1):
        before = _children_s()
        subprocess.run(command, check=True, capture_output=True, env=environment)
        taken.append(_children_s() - before)
    return min(taken[1:])


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """The processor time of commands that do little, which is mostly their"""
    _, database = jobs.run_job(folder, jobs.chain(10))
    with closing(sqlite3.connect(database)) as connection:
        job_id, step = connection.execute("SELECT job_id, name FROM steps LIMIT 1").fetchone()
    commands = starts(folder, database, job_id, step)
    taken: dict[str, list[float]] = {each.name: [] for each in commands}
    yards: dict[str, list[float]] = {each.imports: [] for each in commands}
    for _ in range(rounds):
        for imports, found in yards.items():
            found.append(imports_s(imports))
        for each in commands:
            taken[each.name].append(orc_s(each.arguments, each.variables))
    return [
        figure_of(
            f"{each.name}: processor s",
            taken[each.name],
            f"python -c 'import {each.imports}': processor s",
            yards[each.imports],
            target=f"<= {each.ratio_max}",
        )
        for each in commands
    ]

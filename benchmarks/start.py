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
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import jobs
from benchmarks.figures import figure_of
from benchmarks.turns import in_turns

RUN = "trio, pydantic, yaml, jinja2"
LOOK = "sqlite3, rich"
SHORT = "click"
_TURNS = 11


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


def _orc_s(each: Start) -> float:
    program = str(Path(sys.executable).with_name("orc"))
    return _process_s([program, *each.arguments], each.variables)


def imports_s(modules: str) -> float:
    """Seconds of processor time that Python takes to start and to import these modules."""
    return _process_s([sys.executable, "-c", f"import {modules}"], {})


def _process_s(command: list[str], variables: Mapping[str, str]) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment |= variables
    before = _children_s()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return _children_s() - before


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """The processor time of commands that do little, which is mostly their start."""
    _, database = jobs.run_job(folder, jobs.chain(10))
    with closing(sqlite3.connect(database)) as connection:
        job_id, step = connection.execute("SELECT job_id, name FROM steps LIMIT 1").fetchone()
    commands = starts(folder, database, job_id, step)
    measures = {each.imports: partial(imports_s, each.imports) for each in commands}
    measures |= {each.name: partial(_orc_s, each) for each in commands}
    in_turns(measures, 1)  # may write compiled modules
    taken = in_turns(measures, _TURNS * rounds)
    return [
        figure_of(
            f"{each.name}: processor s",
            taken[each.name],
            f"python -c 'import {each.imports}': processor s",
            taken[each.imports],
            target=f"<= {each.ratio_max}",
        )
        for each in commands
    ]

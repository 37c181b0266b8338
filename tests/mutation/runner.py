"""Runs mutmut on a sample of the mutants of some modules, in a copy of the tree.

In the copy, the links of `orc/` are folders, so that mutmut mutates the modules that are imported.
mutmut runs only those of the nearest tests that execute the mutated function; all of them, if the
function is called while modules are imported (`at_import.py`).
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.targets import ROOT, TARGETS, Target, modules_of

COPIED = "cli docs examples ledger orc projections providers scheduler tests".split()
PER_MODULE = 20
"""About so many mutants are taken from each module, because generating a module's takes seconds."""
MUTANT_S = 60.0
SETUP_S = 900.0
_UNSELECTED = "no_such_mutant"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mutant: its name, what became of it, and its change, as lines of a unified diff."""

    name: str
    status: str
    diff: str = ""

    @property
    def lines(self) -> tuple[str, str]:
        """The lines that the mutation removes and adds, without indentation."""
        body = [line for line in self.diff.splitlines() if not line.startswith(("---", "+++"))]
        removed = [line[1:].strip() for line in body if line.startswith("-")]
        added = [line[1:].strip() for line in body if line.startswith("+")]
        return "\n".join(removed), "\n".join(added)


def run_sample(count: int, seed: int, names: Sequence[str], folder: Path) -> list[Mutant]:
    """Run about `count` mutants of the named targets; `folder` is for the copies."""
    chance = random.Random(f"mutants {seed}")
    modules = [(target, module) for target in _named(names) for module in modules_of(target)]
    weights = [(ROOT / module).stat().st_size for _, module in modules]
    wanted = max(1, round(count / PER_MODULE))
    chosen: dict[Target, set[str]] = {}
    picked: set[int] = set()
    while len(picked) < min(wanted, len(modules)):
        [at] = chance.choices(range(len(modules)), weights)
        picked.add(at)
        target, module = modules[at]
        chosen.setdefault(target, set()).add(module)
    found = []
    for target, some in chosen.items():
        share = round(count * len(some) / len(picked))
        found += _run_target(target, sorted(some), share, chance, folder / target.name)
    return found


def _named(names: Sequence[str]) -> list[Target]:
    unknown = set(names) - {target.name for target in TARGETS}
    if unknown:
        known = ", ".join(target.name for target in TARGETS)
        raise SystemExit(f"no target {', '.join(sorted(unknown))}; there are {known}")
    return [target for target in TARGETS if not names or target.name in names]


def _run_target(
    target: Target, modules: list[str], count: int, chance: random.Random, folder: Path
) -> list[Mutant]:
    _copy_tree(folder, modules, target.tests)
    # mutmut generates the mutants first, and then finds none of this name.
    run_mutmut(folder, "run", _UNSELECTED, limit_s=SETUP_S)
    names = sorted(mutant.name for mutant in read_results(folder))
    if not names:
        raise SystemExit(f"mutmut found nothing to mutate in {', '.join(modules)}")
    sample = chance.sample(names, min(count, len(names)))
    said = run_mutmut(folder, "run", *sample, limit_s=SETUP_S + MUTANT_S * len(sample))
    found = [mutant for mutant in read_results(folder) if mutant.name in set(sample)]
    if all(mutant.status == "not checked" for mutant in found):
        raise SystemExit(f"mutmut ran no mutant of {target.name}:\n{said[-3000:]}")
    return [
        Mutant(mutant.name, mutant.status, run_mutmut(folder, "show", mutant.name))
        if mutant.status == "survived"
        else mutant
        for mutant in found
    ]


def _copy_tree(folder: Path, modules: Sequence[str], tests: Sequence[str]) -> None:
    for name in COPIED:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for path in (*ROOT.glob("*.md"), ROOT / "Makefile", ROOT / "LICENSE"):
        shutil.copy(path, folder)
    settings = (
        (ROOT / "pyproject.toml")
        .read_text("utf-8")
        .replace(
            "-n auto --dist worksteal", "-p tests.mutation.uncached -p tests.mutation.at_import"
        )
    )
    (folder / "pyproject.toml").write_text(settings, "utf-8")
    keys = {
        "source_paths": modules,
        "pytest_add_cli_args_test_selection": tests,
        "also_copy": COPIED,
    }
    parts = [f"{key} =\n" + "".join(f"    {value}\n" for value in keys[key]) for key in keys]
    (folder / "setup.cfg").write_text("[mutmut]\n" + "".join(parts), "utf-8")


def read_results(folder: Path) -> list[Mutant]:
    """All mutants in the folder, and what has become of them."""
    said = run_mutmut(folder, "results", "--all", "true")
    found = re.findall(r"^\s+(\S+__mutmut_\d+): (.+)$", said, re.MULTILINE)
    return [Mutant(name, status) for name, status in found]


def run_mutmut(folder: Path, *arguments: str, limit_s: float = SETUP_S) -> str:
    """Run mutmut's command in the folder; what it printed."""
    ended = subprocess.run(
        [sys.executable, "-m", "mutmut", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": "", "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "h")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=limit_s,
        check=False,
    )
    return ended.stdout

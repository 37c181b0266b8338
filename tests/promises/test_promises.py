"""Each promise has tests, and the test of each guard fails when the guard is replaced."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.each_case import each_case
from tests.promises.table import ROOT, Guard, read_promises

PROMISES = read_promises()
GUARDS = [guard for promise in PROMISES for guard in promise.guards]
QUICK = GUARDS[:1]
COPIED = "cli docs examples ledger orc projections providers scheduler tests".split()
FAILED = 1
WAIT_S = 300.0


def test_every_line_of_the_threat_model_names_tests_that_exist() -> None:
    for entry in yaml.safe_load((ROOT / "tests/promises/threats.yaml").read_text("utf-8")):
        assert entry["tests"], entry["who"]
        for test in entry["tests"]:
            path, _, name = test.partition("::")
            assert (ROOT / path).exists(), test
            assert not name or f"def {name}(" in (ROOT / path).read_text("utf-8"), test


def test_every_promise_names_tests_that_exist() -> None:
    named = [test for promise in PROMISES for test in promise.tests]
    named += [guard.test for guard in GUARDS]
    missing = [test for test in named if not exists(test)]
    assert not missing


def exists(node: str) -> bool:
    """Whether the file has a test of this name; parameters in brackets are ignored."""
    file, _, name = node.partition("::")
    path = ROOT / file
    if not path.is_file():
        return False
    return not name or name.partition("[")[0].split("::")[0] in names_in(path)


@cache
def names_in(path: Path) -> set[str]:
    """The functions of a file of tests, and what is assigned in it."""
    tree = ast.parse(path.read_text("utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = {item.name for item in ast.walk(tree) if isinstance(item, functions)}
    return found | {
        target.id
        for item in tree.body
        if isinstance(item, ast.Assign)
        for target in item.targets
        if isinstance(target, ast.Name)
    }


@each_case("guard", GUARDS)
def test_the_text_of_every_guard_occurs_once_in_its_file(guard: Guard) -> None:
    text = (ROOT / guard.file).read_text("utf-8")
    assert text.count(guard.stands) == 1
    compile(text.replace(guard.stands, guard.gone), guard.file, "exec")


@pytest.mark.parametrize("guard", QUICK, ids=str)
def test_without_one_guard_its_test_fails(guard: Guard, tmp_path: Path) -> None:
    check_that_its_test_fails(guard, tmp_path)


@pytest.mark.torture
@pytest.mark.parametrize("guard", GUARDS, ids=str)
def test_without_each_guard_its_test_fails(guard: Guard, tmp_path: Path) -> None:
    check_that_its_test_fails(guard, tmp_path)


def check_that_its_test_fails(guard: Guard, folder: Path) -> None:
    copy = folder / "copy"
    for name in COPIED:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignored)
    for path in (*ROOT.glob("*.py"), *ROOT.glob("*.toml"), *ROOT.glob("*.md"), ROOT / "Makefile"):
        shutil.copy(path, copy)
    broken = copy / guard.file
    broken.write_text(broken.read_text("utf-8").replace(guard.stands, guard.gone), "utf-8")
    apart = ["-n0", "-x", "-m", "", "-p", "no:cacheprovider", "--basetemp", str(folder / "inner")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *apart, guard.test],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    how = f"{guard.test} ended with {done.returncode}"
    assert done.returncode == FAILED, f"{how}: {done.stdout[-3000:]}"

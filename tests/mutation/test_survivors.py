"""The explained survivors are those of today's source, and the table of targets names what exists."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutation.runner import Mutant, run_sample
from tests.mutation.survivors import Survivor, read_survivors
from tests.mutation.targets import ROOT, TARGETS, Target, modules_of

SURVIVORS = read_survivors()
SLICE = 10
_DIFF = """\
--- a.py
+++ a.py
@@ -1,3 +1,3 @@
 def limit():
-    return 1
+    return 2
"""


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_target_has_modules_and_tests(target: Target) -> None:
    assert modules_of(target)
    assert all((ROOT / test).exists() for test in target.tests)


def test_no_module_belongs_to_two_targets() -> None:
    modules = [module for target in TARGETS for module in modules_of(target)]
    assert len(modules) == len(set(modules))


def test_each_explained_survivor_is_in_the_source() -> None:
    assert [one for one in SURVIVORS if not is_in_the_source(one)] == []


def is_in_the_source(survivor: Survivor) -> bool:
    text = (ROOT / survivor.file).read_text("utf-8")
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [
        ast.get_source_segment(text, node) or ""
        for node in ast.walk(ast.parse(text))
        if isinstance(node, functions) and node.name == survivor.function
    ]
    wanted = survivor.was.splitlines()
    found = [[line.strip() for line in body.splitlines()] for body in bodies]
    return bool(survivor.why) and any(all(line in lines for line in wanted) for lines in found)


def test_a_survivor_explains_only_its_own_mutation() -> None:
    survivor = Survivor("ledger/a.py", "limit", "return 1", "return 2", "for the test")
    assert survivor.explains(Mutant("orc.ledger.a.x_limit__mutmut_1", "survived", _DIFF))
    other = _DIFF.replace("return 2", "return 3")
    assert not survivor.explains(Mutant("orc.ledger.a.x_limit__mutmut_2", "survived", other))
    assert not survivor.explains(Mutant("orc.ledger.b.x_limit__mutmut_1", "survived", _DIFF))


@pytest.mark.torture
def test_the_nearest_tests_notice_most_mutants_of_the_masking(tmp_path: Path) -> None:
    mutants = run_sample(SLICE, 0, ["masking"], tmp_path)
    killed = [mutant for mutant in mutants if mutant.status == "killed"]
    assert len(killed) >= SLICE / 2, mutants

"""A plugin of pytest for mutants of functions that are called while modules are imported.

mutmut switches a mutant on in a fork of a process that has imported everything, and it runs the tests
that were seen to execute the function. Both come too late for such a function: its module has kept
what the function once returned, for every test. Here, a mutant of such a function has all of the
nearest tests, and they import the modules again.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from mutmut.state import state

NOTED = Path("called_at_import.json")
"""In the folder where mutmut runs the tests; a later run of mutmut does not see the imports again."""

_called: set[str] = set()


def _mutant() -> str:
    return os.environ.get("MUTANT_UNDER_TEST", "")


def pytest_load_initial_conftests() -> None:
    """Forget the modules, if the mutant is of a function that they call when they are imported."""
    function = _mutant().rpartition("__mutmut_")[0]
    if function and NOTED.exists() and function in json.loads(NOTED.read_text("utf-8")):
        for name in list(sys.modules):
            if name.startswith(("orc.", "tests.")) and not name.startswith("tests.mutation."):
                del sys.modules[name]


def pytest_collection_finish() -> None:
    """Note which functions were called before the first test."""
    if _mutant() == "stats":
        _called.update(state()._stats)
        NOTED.write_text(json.dumps(sorted(_called)), "utf-8")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """Say that each test executed them, before mutmut takes note of what this test executed."""
    if _mutant() == "stats":
        state()._stats.update(_called)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A mutant with which a module cannot be imported is noticed; mutmut knows failed tests only."""
    if exitstatus == pytest.ExitCode.INTERRUPTED and session.testsfailed:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

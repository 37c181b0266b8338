"""Exit codes: each error class has one, and each documented code is reached."""

from __future__ import annotations

import ast
import builtins
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from orc.cli.exit_codes import code_for_error, code_for_job
from orc.ledger import exit_codes
from tests.cli.command_line import orc
from tests.docs.conftest import read_page

ROOT = Path(__file__).parents[2]
PACKAGES = ("ledger", "providers", "scheduler", "projections", "cli")

ERRORS = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("errors.py"))

# Errors that are always caught, so that they end no command.
CAUGHT = {
    "BadOutcome": "ends an attempt",
    "BadReply": "becomes an error of a provider",
    "BatchLost": "ends an attempt",
    "BadSetting": "ends an attempt, or becomes a problem of a spec",
    "BrokenOff": "an error of a provider",
    "CallFailed": "ends an attempt",
    "CallRefused": "answers a call of a tool of `orc mcp`",
    "CaptureProblem": "ends an attempt",
    "RequestRefused": "answers a request of a browser",
    "FilesMissing": "ends an attempt",
    "LedgerError": "the base of those of the ledger, never raised itself",
    "Lost": "ends an attempt",
    "Missing": "ends an attempt",
    "NoDataFrames": "raised in the Python API only",
    "NoTemplate": "becomes a problem of a spec",
    "NotATable": "the file is shown as text",
    "NotAnIndex": "the index is made anew",
    "NotThere": "becomes a problem of a spec",
    "OverBudget": "lets a step wait",
    "PageNotFound": "answers a request of a browser",
    "PathProblem": "ends an attempt",
    "PermanentError": "an error of a provider: ends an attempt, or becomes an EnvironmentProblem",
    "ProviderError": "the base of those of providers",
    "Refused": "answers a request to a driver",
    "RepliesError": "becomes a UsageProblem",
    "TemplateError": "ends an attempt, or becomes a SpecError",
    "ToolMistake": "answers the model",
    "ToolProblem": "ends an attempt",
    "TransientError": "an error of a provider",
    "UnseenLog": "a warning, which the command line prints",
    "Unstorable": "ends an attempt, or becomes a SpecError or a UsageProblem",
}


@cache
def exceptions() -> dict[str, type[BaseException]]:
    """Every public exception class of the five folders, by name."""
    homes: dict[str, tuple[str, list[str]]] = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            module = ".".join(("orc", *path.relative_to(ROOT).with_suffix("").parts))
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    homes[node.name] = (module, [ast.unparse(base) for base in node.bases])

    def is_exception(name: str) -> bool:
        known = getattr(builtins, name, None)
        if isinstance(known, type) and issubclass(known, BaseException):
            return True
        return name in homes and any(is_exception(base) for base in homes[name][1])

    return {
        name: getattr(import_module(home), name)
        for name, (home, _) in homes.items()
        if is_exception(name) and not name.startswith("_")
    }


def test_every_error_that_can_end_a_command_has_an_exit_code() -> None:
    found = exceptions()
    without = {name for name, kind in found.items() if code_for_error(kind.__new__(kind)) is None}
    assert without == set(CAUGHT)


@pytest.mark.parametrize("path", ERRORS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_tree_in_a_module_of_errors_names_its_classes_in_their_order(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    named = re.findall(r"^[│├└─ ]*([A-Z]\w+)", ast.get_docstring(tree) or "", re.MULTILINE)
    assert [name for name in named if name in classes] == [c for c in classes if c in exceptions()]


@pytest.mark.parametrize("name", ["CorruptLedger", "SpecError", "UsageProblem", "NoSuchJob"])
def test_a_class_below_another_keeps_its_code(name: str) -> None:
    kind = exceptions()[name]
    below: type[BaseException] = type("Below", (kind,), {})
    assert code_for_error(below.__new__(below)) == code_for_error(kind.__new__(kind)) is not None


def test_errors_of_the_system_have_codes_and_a_bug_has_none() -> None:
    assert code_for_error(MemoryError()) == exit_codes.ENVIRONMENT
    assert code_for_error(OSError(28, "no space")) == exit_codes.STORAGE
    assert code_for_error(ZeroDivisionError()) is None
    assert code_for_error(KeyError("x")) is None


def test_every_documented_code_is_reached() -> None:
    section = read_page("docs/cli.md").partition("## Exit codes")[2]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}
    by_errors = {code_for_error(kind.__new__(kind)) for kind in exceptions().values()}
    by_jobs = {
        code_for_job("succeeded"),
        code_for_job("failed"),
        code_for_job("failed", failure_kinds=["environment"]),
        code_for_job("cancelled"),
        code_for_job("waiting"),
        code_for_job("waiting", over_budget=True),
        *(code_for_job("interrupted", signal=name) for name in exit_codes.SIGNALS),
    }
    assert (by_errors | by_jobs) - {None} == documented


def test_an_error_of_each_layer_ends_the_command_with_its_code() -> None:
    Path("broken.yaml").write_text("project: [", "utf-8")
    assert orc("run", "broken.yaml").code == exit_codes.USAGE
    assert orc("show", "latest").code == exit_codes.NO_JOB
    assert orc("run", "nothing.yaml").code == exit_codes.USAGE

"""The message of each error of the command line says what to do next."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from orc.ledger.command_lines import next_command, with_advice
from orc.ledger.errors import CorruptLedger, NoSuchJob
from tests.cli.command_line import orc, write

ROOT = Path(__file__).resolve().parents[2]
ERRORS = {"UsageProblem", "EnvironmentProblem", "OwnerSilent"}
ACTION = re.compile(
    r"; |[:,] (or )?(add|write) |<what to do>"
    r"|\b(must be|use|give|name|choose|change|copy|keep|leave it out|try again)\b"
)
INSERTED = {
    "nearest": "the nearest name that exists",
    "command": "a command, by ledger/command_lines.py",
}
"""Parts of a message that say what to do."""

ELSEWHERE = {
    "cli/assess/checks.py": "the scores that there are follow",
    "cli/chaos/trial.py": "the last line of the run's own output says it",
    "cli/cluster/engine_commands.py": "the reason says which amounts are possible",
    "cli/commands/graph.py": "the nearest format follows",
    "cli/commands/prune.py": "the reason says which durations are possible",
    "cli/commands/scores.py": "the dimensions that there are follow",
    "cli/jobs/caller/executors.py": "the executors that there are, or the problem, follow",
    "cli/jobs/caller/replies.py": "the reason names the key of the file",
    "cli/jobs/caller/secrets.py": "the reason says what to set",
    "cli/jobs/fork.py": "the reason names the key",
    "cli/jobs/prepare.py": "the reason is the command that installs the package",
    "cli/terminal/contents/step_texts.py": "removed bytes do not come back",
}
"""Modules with a message whose end comes from elsewhere."""


@pytest.mark.parametrize(
    ("message", "command"),
    [
        ("no job has 'x' in its id; `orc list` shows all jobs", "orc list"),
        (
            "see `orc list --db 'a b.db'`, and once more: `orc list --db 'a b.db'`",
            "orc list --db 'a b.db'",
        ),
        ("resume it with `orc resume job_1 --budget +0.05`", "orc resume job_1 --budget +0.05"),
        ("wait for it, or end it: `orc cancel job_1`", ""),
        ("`orc rerun job_1 STEP` runs a step again", ""),
        ("`orc fork job_1 --set inputs.a=VALUE` makes another", ""),
        ("`orc show job_1` or `orc list`", ""),
        ("start it with `ollama serve`", ""),
        ("name another file", ""),
    ],
)
def test_an_error_ends_with_the_one_command_to_give(message: str, command: str) -> None:
    assert next_command(message) == command


def test_an_error_of_the_ledger_says_what_to_do_also_if_its_message_does_not() -> None:
    damaged = with_advice("runs.db: blob abc is missing", CorruptLedger.advice)
    assert damaged.endswith(
        "is missing; go on with an intact copy, such as a backup or a new bundle"
    )
    for said in ("it is gone; name another", "`orc list` shows all jobs", "run a spec first"):
        assert with_advice(said, NoSuchJob.advice) == said
    assert with_advice("it is gone", "") == "it is gone"


def test_the_next_command_is_a_line_of_its_own(here: Path) -> None:
    # No id of a job has a dash in it.
    orc("run", write("spec.yaml", "project: my-own\nsteps: {a: {value: 1}}\n"), "--quiet")
    said = orc("show", "job_nothere")
    assert said.code == 6
    assert said.err.splitlines()[-1] == "next: orc list"
    for other in ("my-own", "spec.yaml"):
        said = orc("show", other)
        assert said.code == 6
        assert said.err.splitlines()[-1] == "next: orc list --project my-own", other
    assert "next:" not in orc("run", "nothere.yaml").err


def messages(source: str) -> Iterator[str]:
    """The texts of the errors that are raised, with marks for the parts that are computed."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
            continue
        if getattr(node.exc.func, "id", "") not in ERRORS or not node.exc.args:
            continue
        text = node.exc.args[0]
        if isinstance(text, ast.Constant):
            yield str(text.value)
        elif isinstance(text, ast.JoinedStr):
            yield "".join(map(part_text, text.values))


def part_text(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    is_action = any(name in ast.unparse(part) for name in INSERTED)
    return "<what to do>" if is_action else "<value>"


def test_each_error_says_what_to_do_next() -> None:
    found = {
        str(path.relative_to(ROOT)): message
        for path in sorted((ROOT / "cli").rglob("*.py"))
        for message in messages(path.read_text("utf-8"))
        if not ACTION.search(message)
    }
    assert found.keys() - ELSEWHERE.keys() == set(), found
    assert ELSEWHERE.keys() - found.keys() == set(), "stale reasons"


@pytest.mark.parametrize(
    ("source", "is_complete"),
    [
        ('raise UsageProblem(f"there is no step {step!r}")', False),
        ('raise UsageProblem(f"there is no step {step!r}{nearest(step, names)}")', True),
        ('raise EnvironmentProblem(f"cannot write {path}: {error}")', False),
        ('raise EnvironmentProblem(f"cannot write {path}: {error}; name another file")', True),
    ],
)
def test_the_rule_notices(source: str, *, is_complete: bool) -> None:
    assert all(bool(ACTION.search(message)) is is_complete for message in messages(source))

"""`orc reject`: the step fails, and its dependents are skipped or continue by the decision."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.approval_job import SPEC
from tests.cli.command_line import orc, write


@pytest.fixture
def asked(here: Path) -> str:
    """A job that waits for a decision."""
    said = orc("run", write("spec.yaml", SPEC), "--json")
    assert said.code == 3, said.err
    return str(said.lines()[0]["job_id"])


def test_a_job_with_a_tolerated_rejection_continues(asked: str) -> None:
    said = orc("reject", asked, "gate", "--comment", "not yet")
    assert said.code == 0, said.err
    assert f"next: orc resume {asked}" in said.err
    assert orc("resume", asked).code == 0
    before = orc("show", asked, "--json").json()
    assert {step["step"]: step["status"] for step in before["steps"]}["go"] == "skipped"
    (line,) = orc("tail", asked, "--type", "approval.decided", "--json").lines()
    assert (line["option"], line["comment"]) == ("reject", "not yet")
    assert orc("rebuild").code == 0
    assert orc("show", asked, "--json").json() == before


def test_a_rejection_skips_the_dependents_and_a_resume_asks_again(here: Path) -> None:
    spec = SPEC.replace("    continue_on_error: true\n", "")
    assert orc("run", write("spec.yaml", spec)).code == 3
    assert orc("reject", "latest", "gate", "--comment", "not yet").code == 0
    said = orc("resume", "latest")
    assert said.code == 1
    assert "gate: rejected: rejected by" in said.err
    assert "not yet" in said.err
    steps = {step["step"]: step for step in orc("show", "latest", "--json").json()["steps"]}
    assert {name: steps[name]["status"] for name in ("gate", "go", "after")} == {
        "gate": "failed",
        "go": "skipped",
        "after": "skipped",
    }
    assert orc("rebuild").code == 0
    assert orc("show", "latest", "--json").json()["status"] == "failed"
    assert orc("resume", "latest").code == 3


def test_a_second_decision_is_refused_with_the_first(asked: str) -> None:
    assert orc("approve", asked, "gate").code == 0
    said = orc("reject", asked, "gate")
    assert said.code == 2
    assert "gate has already been decided: approve, by" in said.err

"""`orc resume`: what runs again, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import orc, submit, write
from tests.cli.conftest import Kept
from tests.each_case import each_case


def test_resume_runs_only_what_had_not_succeeded(here: Path) -> None:
    spec = """\
project: x
steps:
  once: {run: "echo ran >> $ORC_SPEC_DIR/runs.txt"}
  gate: {needs: once, run: "test -e $ORC_SPEC_DIR/open"}
"""
    job = submit(spec)
    write("open", "")
    resumed = orc("resume", "latest", "--json")
    again = orc("resume", job)

    assert resumed.code == 0
    assert (here / "runs.txt").read_text() == "ran\n"
    assert resumed.lines()[-1]["status"] == "succeeded"
    assert again.code == 0
    assert "succeeded: 2 of 2 steps" in again.err


def test_a_job_whose_step_was_retried_can_be_resumed_and_looked_at(here: Path) -> None:
    job = submit(
        "project: x\n"
        "steps: {a: {run: 'test -e $ORC_SPEC_DIR/open', retry: {max_attempts: 2, initial: 0.01s}}}\n"
    )

    assert orc("cancel", job).code == 8
    write("open", "")
    assert orc("resume", job).code == 0
    assert orc("show", job, "--json").json()["steps"][0]["attempts"] == 3


def test_a_resume_refuses_another_provider_and_an_invalid_timeout(kept: Kept) -> None:
    other = orc("resume", kept.failed, "-p", "ollama", "--db", kept.database)
    nonsense = orc("resume", kept.failed, "--timeout", "soon", "--db", kept.database)

    assert (other.code, nonsense.code) == (2, 2)
    assert "only `replay` can replace them" in other.err
    assert "such as 90, 90s, 15m" in nonsense.err


def test_this_machine_takes_no_other_executor_s_place(here: Path) -> None:
    said = orc("resume", "latest", "--executor", "farm=local")
    assert said.code == 2
    assert "write `executor: local` in the spec, and resume the job with --spec" in said.err


@pytest.mark.parametrize("command", ["resume latest", "rerun latest --step a", "fork latest"])
def test_an_executor_that_no_step_is_on_cannot_be_replaced(here: Path, command: str) -> None:
    orc("run", write("s.yaml", "project: p\nsteps: {a: {run: 'true'}, b: {run: exit 1}}\n"))
    before = orc("show", "latest", "--events", "--json").out
    said = orc(*command.split(), "--executor", "farm=other")
    assert said.code == 2
    assert "--executor farm=...: no step of the job is on an executor 'farm'" in said.err
    assert orc("show", "latest", "--events", "--json").out == before


@each_case(
    "command, said",
    [
        ("resume latest --budget junk", "--budget 'junk': must be an amount"),
        ("resume latest --budget a=+1calls", "--budget: step 'a' has no budget"),
        ("resume latest --budget +1tokens", "the budget has no max_tokens"),
        ("resume latest --replies nowhere.yaml", "no recorded replies at nowhere.yaml"),
        ("resume latest -p replay", "there are no recorded replies at"),
        ("resume latest --only nothing", "--only: there is no step 'nothing'"),
    ],
)
def test_a_wrong_option_is_refused_in_every_state_before_anything_is_recorded(
    command: str, said: str, here: Path
) -> None:
    spec = "project: x\nbudget: {max_calls: 1}\nsteps: {a: {value: 1}, b: {value: 2}}\n"
    job = submit(spec)
    before = orc("tail", job, "--json").out
    write("edited.yaml", spec.replace("value: 1", "value: 3"))
    rerun = command.replace("resume latest", "rerun latest --step a")
    for line in (command, f"{command} --spec edited.yaml", rerun):
        if "rerun" in line and ("--budget" in line or "-p " in line):
            continue
        refused = orc(*line.split())
        assert refused.code == 2
        assert said in refused.err
        assert orc("tail", job, "--json").out == before

"""Steps and costs of a job are worded in one way, wherever people see them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orc.ledger.wording import calls_cost_text, steps_text
from tests.cli.command_line import orc, write
from tests.cli.pseudo_terminal import Terminal
from tests.projections.served import Get, browse

MIXED = """\
project: counted
steps:
  a: {value: 1}
  b: {run: exit 1, continue_on_error: true}
  c: {needs: b, if: "${{ steps.b.status == 'succeeded' }}", value: 1}
"""
FREE = """\
project: costs
provider: replay
steps:
  a: {prompt: Hello}
"""
NO_CALLS = "project: plain\nsteps: {a: {value: 1}}\n"
REPLIES = """\
version: 1
replies:
  a: [{text: Hi, model: mine, usage: {input_tokens: 3, output_tokens: 4}}]
"""
PRICES = "models: {openai: {mine: {input: 0, output: 0}}}\n"


def pages_of(database: Path, *addresses: str) -> list[str]:
    found: list[str] = []

    async def look(get: Get) -> None:
        for address in addresses:
            found.append(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", (await get(address)).text)))

    browse(database, then=look)
    return found


def test_steps_count_those_that_have_succeeded(here: Path) -> None:
    run = orc("run", write("spec.yaml", MIXED))
    job = orc("show", "latest", "--json").json()["job_id"]
    assert run.code == 0
    assert f"{job} succeeded: {steps_text(1, 3)}" in run.err
    assert re.search(r"\b1/3\b", orc("list").out)
    assert f"succeeded  {steps_text(1, 3)}" in orc("show", job).out
    home, page = pages_of(here / "runs.db", "/-/orc/runs", f"/-/orc/runs/{job}")
    assert " 1/3 " in home
    assert "Steps succeeded1 of 3 " in page
    other = orc("run", "spec.yaml", "--json")
    assert other.code == 0
    assert re.search(r"steps +1/3 +1/3", orc("diff", "latest~1", "latest").out)
    assert 'name="orc.steps" value="1 of 3 steps"' in orc("export", job, "--format", "junit").out


@pytest.mark.parametrize("has_calls", [True, False])
def test_free_means_calls_that_cost_nothing(has_calls: bool, here: Path) -> None:
    write("spec.replay.yaml", REPLIES)
    write("prices.yaml", PRICES)
    spec = write("spec.yaml", FREE if has_calls else NO_CALLS)
    run = orc("run", spec)
    job = orc("show", "latest", "--json").json()["job_id"]
    assert run.code == 0, run.err
    said = [
        run.err,
        orc("list").out,
        orc("show", job).out,
        orc("diff", job, job).out,
        orc("export", job, "--format", "junit").out,
        *pages_of(here / "runs.db", "/-/orc/runs", f"/-/orc/runs/{job}", f"/runs/jobs/{job}"),
    ]
    assert [bool(re.search(r"\bfree\b", text)) for text in said] == [has_calls] * len(said)


def test_without_calls_there_is_no_cost() -> None:
    assert calls_cost_text(0, None, 0) == ""
    assert calls_cost_text(1, None, 0) == ""
    assert calls_cost_text(1, 0, 0, brief=True) == "free"
    assert calls_cost_text(1, None, 1) == "unknown"


def test_long_lines_are_wrapped_between_words_on_a_terminal(here: Path) -> None:
    long = "word-" * 4 + "of-a-text " * 12
    spec = f"project: wraps\nsteps:\n  a: {{run: 'echo {long} >&2; exit 3', continue_on_error: true}}\n"
    job = orc("run", write("spec.yaml", spec), "--json").lines()[0]["job_id"]
    for arguments in (("why", job, "a"), ("run", "spec.yaml", "--quiet", "--strict")):
        with Terminal(*arguments, cwd=here) as terminal:
            terminal.end()
        lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.output).split("\r\n")
        # A path stays whole, so that it can be copied.
        assert max(len(line) for line in lines if "files: " not in line) <= 80, lines
        assert arguments[0] != "why" or any(line.endswith("of-a-text") for line in lines), lines

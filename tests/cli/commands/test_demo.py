"""`orc demo`."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tests.cli.command_line import TINY_SPEC, orc


def test_demo_runs_the_example_and_prints_the_next_commands(here: Path) -> None:
    said = orc("demo")
    as_json = orc("demo", "--json", "--quiet")

    assert said.code == as_json.code == 0
    assert said.out == ""
    assert "orc show latest" in said.err
    assert as_json.err == ""
    assert as_json.lines()[-1]["status"] == "succeeded"
    assert (here / "src" / "generated" / "main.py").exists()


def test_demo_shows_a_cost_and_says_that_it_was_not_paid(here: Path) -> None:
    said = orc("demo").err
    replies = yaml.safe_load(TINY_SPEC.with_name("tiny_spec.replay.yaml").read_text("utf-8"))
    [model] = {reply["model"] for calls in replies["replies"].values() for reply in calls}

    assert re.search(r"succeeded: 4 of 4 steps, 4,762 tokens, cost \$0\.00\d+\n", said)
    assert "recorded ones: no model was called, and nothing was paid" in said
    assert f"would have cost with {model}." in said

"""`orc demo`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command_line import orc


def test_demo_runs_the_example_and_prints_the_next_commands(here: Path) -> None:
    said = orc("demo")
    as_json = orc("demo", "--json", "--quiet")

    assert said.code == as_json.code == 0
    assert said.out == ""
    assert "orc show latest" in said.err
    assert as_json.err == ""
    assert as_json.lines()[-1]["status"] == "succeeded"
    assert (here / "src" / "generated" / "main.py").exists()

"""A job that succeeded although something failed says so: 28 of 30 items must not vanish."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import orc, write

ITEMS = (
    f"project: p\nsteps:\n  items:\n    for_each: {list(range(30))}\n"
    "    run: test ${{ item }} -ge 28\n    continue_on_error: true\n"
)
LINE = "28 steps failed, and the job continued (continue_on_error): 28 exit_code"


@pytest.mark.parametrize("options", [(), ("-q",), ("--strict",)], ids=" ".join)
def test_the_last_lines_of_a_run_count_the_failures(here: Path, options: tuple[str, ...]) -> None:
    said = orc("run", write("s.yaml", ITEMS), *options)
    assert said.code == (1 if options == ("--strict",) else 0)
    assert "succeeded: 3 of 31 steps, 28 tolerated failures" in said.err
    assert f"  tolerated: {LINE}" in said.err


def test_the_last_line_of_json_the_list_and_the_manifest_count_them(here: Path) -> None:
    said = orc("run", write("s.yaml", ITEMS), "--json")
    value = {"total": 28, "by_setting": {"continue_on_error": {"exit_code": 28}}}
    assert said.lines()[-1]["tolerated_failures"] == value
    (manifest,) = here.glob("runs/*/manifest.json")
    assert '"tolerated_failures"' in manifest.read_text()
    assert orc("list", "--json").json()["tolerated_failures"] == 28
    assert "28 failures" in orc("list").out
    assert LINE in orc("show", "latest").out
    assert LINE in orc("why", "latest", "items").out


def test_a_job_without_any_says_nothing_of_them(here: Path) -> None:
    said = orc("run", write("s.yaml", "project: p\nsteps: {a: {value: 1}}\n"), "--json")
    assert "tolerated_failures" not in said.lines()[-1]
    for command in (("list",), ("show", "latest"), ("why", "latest", "a"), ("tail", "latest")):
        assert "tolerated" not in orc(*command).out.lower()

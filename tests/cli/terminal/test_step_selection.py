"""Which steps a table shows, and in which order."""

from __future__ import annotations

from pathlib import Path

from orc.cli.terminal.step_selection import under_their_groups
from tests.cli.command_line import orc, submit

SPEC = """\
project: p
steps:
  first: {value: [x, y]}
  each: {for_each: "${{ steps.first.output }}", as: n, key: "${{ n }}", value: "${{ n }}"}
  last: {needs: each, value: 1}
"""


def test_the_steps_inside_another_come_right_after_it() -> None:
    rows = [
        ("a", None), ("b", None), ("c", None), ("a/x", "a"), ("b[0]", "b"), ("a/x#1", "a/x"),
        ("b[1]", "b"), ("lost[0]", "lost"),
    ]  # fmt: skip
    names = [row[0] for row in under_their_groups(rows)]
    assert names == ["a", "a/x", "a/x#1", "b", "b[0]", "b[1]", "c", "lost[0]"]


def test_a_job_shows_its_items_under_their_step_by_their_keys(here: Path) -> None:
    submit(SPEC)
    lines = orc("show", "latest").out.split("STEP ", 1)[1].splitlines()[1:6]
    assert [line.split()[0] for line in lines] == ["first", "each", "each[x]", "each[y]", "last"]

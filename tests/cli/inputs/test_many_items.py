"""What a step reads of many items costs in proportion to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orc.scheduler.inputs.values import InputReads
from tests.cli.command_line import orc, submit

SPEC = """\
project: p
inputs: {rows: {type: table}}
steps:
  each: {for_each: "${{ inputs.rows }}", value: "${{ item.x }}"}
  all: {value: "${{ steps.each.items | map(attribute='output') | join }}"}
"""


def test_the_values_of_items_are_read_once_for_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = 0
    restored = InputReads.restored

    def count(self: InputReads, value: Any) -> Any:
        nonlocal counted
        counted += 1
        return restored(self, value)

    monkeypatch.setattr(InputReads, "restored", count)
    calls = []
    for rows in (50, 200):
        Path("rows.csv").write_text("x\n" + "1\n" * rows)
        counted = 0
        job = submit(SPEC, "-i", "rows=rows.csv")
        assert orc("show", job, "all", "--output").out.strip() == "1" * rows
        calls.append(counted)
    assert calls[1] < 5 * calls[0], calls


def test_items_of_several_parts_have_their_own_values() -> None:
    rows = 2_345
    Path("rows.csv").write_text("x\n" + "".join(f"{number}\n" for number in range(rows)))
    text = SPEC.replace(
        "map(attribute='output') | join", "map(attribute='item') | map(attribute='x') | join(' ')"
    )
    job = submit(text, "-i", "rows=rows.csv")
    assert orc("show", job, "all", "--output").out.split() == [*map(str, range(rows))]

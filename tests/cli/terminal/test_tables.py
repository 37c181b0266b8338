"""Tables fit in a terminal, break no word and no id, and stay whole and plain everywhere else."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orc.cli.terminal.paragraphs import cells
from orc.cli.terminal.tables.columns import (
    Column,
    id_column,
    number_column,
    status_column,
    text_column,
)
from orc.cli.terminal.tables.drawing import draw_table
from orc.cli.terminal.tables.table import table

COLUMNS = (
    id_column("STEP"),
    status_column(),
    text_column("KIND", drop=2),
    number_column("TOKENS", drop=1),
    text_column("NOTE"),
)
LONG_ID = "a-step-with-a-very-long-name-that-fills-most-of-the-line[0]"
ROWS = [
    ("names", "succeeded", "value", "1", ""),
    (LONG_ID, "failed", "run", "1,204", "the command exited with code 3 after it said too little"),
    (
        "after",
        "waiting for 2 answers",
        "prompt",
        "17",
        "東京都は日本の首都であり世界最大級の都市圏",
    ),
]


def drawn(*, width: int, rows: Sequence[tuple[str, ...]] = ROWS) -> list[str]:
    shown = draw_table(COLUMNS, rows, width=width)
    return re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Standard output is a terminal with colours, of 80 cells."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return monkeypatch


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal_except_for_an_id_alone(width: int) -> None:
    lines = drawn(width=width)
    assert all(cells(line) <= width or line == LONG_ID for line in lines)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_word_and_no_id_is_broken(width: int) -> None:
    words = {word for line in drawn(width=width) for word in line.split()}
    for row in ROWS:
        for word in f"{row[0]} {row[4]}".split():
            assert word in words or not word.isascii()


def test_columns_of_least_use_are_left_out_first_and_named() -> None:
    assert "KIND" in drawn(width=80)[0]
    assert drawn(width=44)[0].split() == ["STEP", "STATUS", "TOKENS", "NOTE"]
    assert drawn(width=44)[-1] == "no room for KIND; --json has all"


def test_numbers_end_at_the_right_edge_of_their_column() -> None:
    lines = drawn(width=120)
    end = lines[0].index("TOKENS") + len("TOKENS")
    assert [line[:end].rsplit(" ", 1)[-1] for line in lines[1:4]] == ["1", LONG_ID, "1,204"]


def test_a_column_without_values_is_not_shown() -> None:
    lines = drawn(width=80, rows=[("names", "succeeded", "", "", "")])
    assert lines == ["STEP   STATUS", "names  succeeded"]


def test_a_cell_of_none_is_empty() -> None:
    rows = [("names", None, "run"), ("texts", "failed", None)]
    assert table(COLUMNS[:3], rows).splitlines() == [
        "STEP   STATUS  KIND",
        "names          run",
        "texts  failed",
    ]


def test_a_word_that_is_wider_than_its_column_is_cut_with_a_mark() -> None:
    lines = drawn(width=80, rows=[("a", "failed", "run", "1", "x" * 75 + " end")])
    assert re.search(r" x{20,}…", lines[1])
    assert all(cells(line) <= 80 for line in lines)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.tuples(*[st.text(st.characters(categories=["L", "N", "P", "Zs"]))] * 5)),
    width=st.integers(40, 200),
)
def test_any_cells_fit(rows: list[tuple[str, ...]], width: int) -> None:
    wide = {row[0] for row in rows}
    for line in drawn(width=width, rows=rows):
        assert cells(line) <= width or line in {each.rstrip() for each in wide}


def test_a_status_has_its_colour(on_terminal: pytest.MonkeyPatch) -> None:
    shown = table(COLUMNS, ROWS)
    assert "\x1b[32msucceeded" in shown
    assert "\x1b[31mfailed" in shown
    assert "\x1b[33mwaiting" in shown


def test_no_color_is_respected(on_terminal: pytest.MonkeyPatch) -> None:
    on_terminal.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*[34][0-9]", table(COLUMNS, ROWS))


def test_a_table_is_whole_and_plain_where_there_is_no_terminal() -> None:
    rows = [("a", "failed", "run", "1,204", "note " * 15), ("東京", "failed", "run", "7", "")]
    assert table(COLUMNS, rows).splitlines() == [
        "STEP  STATUS  KIND  TOKENS  NOTE",
        f"a     failed  run    1,204  {('note ' * 15).strip()}",
        "東京  failed  run        7",
    ]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_cell_from_outside_controls_nothing(
    on_terminal: pytest.MonkeyPatch, *, is_terminal: bool
) -> None:
    on_terminal.setattr(sys.stdout, "isatty", lambda: is_terminal)
    hostile = "\x1b[2J\x1b]0;title\x07\u202emirror [red]markup[/red] :smile:\nnew line"
    shown = table([Column("WHAT")], [[hostile]])
    left = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert not {"\x1b", "\x07", "\u202e"} & set(left)
    assert "\\x1b[2J" in left
    assert "[red]markup[/red]" in left
    assert ":smile:" in left

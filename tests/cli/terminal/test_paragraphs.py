"""Texts of several lines: in full, each line made safe by itself, wrapped to the terminal."""

from __future__ import annotations

import io

import pytest

from orc.cli.terminal import paragraphs
from orc.cli.terminal.paragraphs import cells, first_line, hanging, paragraph, wrap


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Publish it?", "gate asks: Publish it?"),
        ("Publish it?\n", "gate asks: Publish it?"),
        ("", "gate asks:"),
        ("one\ntwo", "gate asks:\n    | one\n    | two"),
        ("one\r\ntwo\r\n", "gate asks:\n    | one\n    | two"),
        ("one\n\n  three", "gate asks:\n    | one\n    |\n    |   three"),
        ("a\tb\n\tc", "gate asks:\n    | a   b\n    |     c"),
        ("red \x1b[31m\n\x07bell", "gate asks:\n    | red \\x1b[31m\n    | \\x07bell"),
        ("right \u202e\nleft", "gate asks:\n    | right \\u202e\n    | left"),
        ("over\rwritten\nx", "gate asks:\n    | over\\x0dwritten\n    | x"),
        # These separate lines for Python and for some terminals, and are no lines here.
        ("a\x0bb\x0cc\x85d\u2028e", "gate asks: a\\x0bb\\x0cc\\x85d\\u2028e"),
        ("next: orc approve\nfake", "gate asks:\n    | next: orc approve\n    | fake"),
    ],
)
def test_a_text_is_shown_in_full(text: str, shown: str) -> None:
    assert paragraph("gate asks:", text) == shown


@pytest.mark.parametrize(
    ("line", "width", "parts"),
    [
        ("", 5, [""]),
        ("short", 5, ["short"]),
        ("one two three", 8, ["one two", "three"]),
        ("  indented words", 11, ["  indented", "words"]),
        ("aaaaaaaaaa", 4, ["aaaa", "aaaa", "aa"]),
        ("          x", 4, ["", "", "  x"]),
        ("漢字漢字", 4, ["漢字", "漢字"]),
        ("漢字", 1, ["漢", "字"]),
        ("e\u0301e\u0301e\u0301", 2, ["e\u0301e\u0301", "e\u0301"]),
    ],
)
def test_a_long_line_is_wrapped(line: str, width: int, parts: list[str]) -> None:
    found = list(wrap(line, width))
    assert found == parts
    assert all(cells(part) <= max(width, 2) for part in found)


def test_the_further_parts_of_a_line_are_indented(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "ollama: Ollama does not answer at http://localhost:11434"
    assert hanging(line, indent="      ", stream=io.StringIO()) == line
    monkeypatch.setattr(paragraphs, "_width_of", lambda stream: 40)
    assert hanging(line, indent="      ") == (
        "ollama: Ollama does not answer at\n      http://localhost:11434"
    )


def test_no_character_is_lost_by_wrapping() -> None:
    words = " ".join(f"word{number}" for number in range(200))
    for width in (20, 33, 79):
        assert " ".join(wrap(words, width)) == words


def test_a_block_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paragraphs, "_width_of", lambda stream: 40)
    shown = paragraph("gate asks:", "a long text " * 20, indent="  ")
    assert shown.splitlines()[0] == "  gate asks:"
    assert all(len(line) <= 40 for line in shown.splitlines())
    assert all(line.startswith("      | ") for line in shown.splitlines()[1:])
    assert paragraph("gate asks:", "short") == "gate asks: short"


def test_a_stream_that_is_no_terminal_is_not_wrapped() -> None:
    text = "a long text " * 50
    assert paragraph("x:", text, stream=io.StringIO()) == f"x: {text}".rstrip()


@pytest.mark.parametrize(
    ("text", "shown"),
    [("one", "one"), ("one\ntwo", "one ..."), ("one\n", "one"), ("\x1b\nx", "\\x1b ...")],
)
def test_a_cell_has_the_first_line_and_says_that_there_are_more(text: str, shown: str) -> None:
    assert first_line(text) == shown

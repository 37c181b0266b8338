"""Prints texts of several lines in full: what a person is asked, a failure, the reason of a decision.

A short text stays on the line that introduces it. Any other becomes a block: every line of it is
made safe by itself, has a margin, and is wrapped to the width of the terminal, so that a text from
outside can neither control the terminal nor look like a line of orc.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterator
from typing import TextIO

from orc.cli.output_mask import mask_output
from orc.cli.terminal.text import safe_lines

MARGIN = "    | "
_LEAST_CELLS = 20


def paragraph(lead: str, text: str, *, indent: str = "", stream: TextIO | None = None) -> str:
    """`lead`, which is safe to print, and the text: on one line if it fits there, else as a block.

    `stream` is where it will be printed, by default stdout; its lines are wrapped if that is a
    terminal. `indent` comes before every line.
    """
    width = _width_of(sys.stdout if stream is None else stream)
    lines = _lines_of(text)
    first = f"{indent}{lead} {lines[0]}".rstrip()
    if len(lines) == 1 and (width is None or cells(first) <= width):
        return first
    return "\n".join([f"{indent}{lead}".rstrip(), *_block(lines, indent + MARGIN, width)])


def block(text: str, *, indent: str = "", stream: TextIO | None = None) -> str:
    """All lines of the text, each with a margin, as in `paragraph`."""
    width = _width_of(sys.stdout if stream is None else stream)
    return "\n".join(_block(_lines_of(text), indent + MARGIN, width))


def hanging(line: str, *, indent: str, stream: TextIO | None = None) -> str:
    """A line that is safe to print, wrapped as in `paragraph`; `indent` is before its further parts."""
    width = _width_of(sys.stdout if stream is None else stream)
    if width is None:
        return line
    # The indent takes the same room on each line, so that no further part is too long.
    return f"\n{indent}".join(wrap(line, max(_LEAST_CELLS, width - cells(indent))))


def first_line(text: str) -> str:
    """The text on one line, safe to print: its first line, with `...` if there are more."""
    lines = _lines_of(text)
    return f"{lines[0].rstrip()} ..." if len(lines) > 1 else lines[0]


def wrap(line: str, width: int) -> Iterator[str]:
    """The parts of a line that fit in `width` cells; it is broken after a space if possible."""
    while cells(line) > width:
        end = _end_within(line, width)
        space = line.rfind(" ", 1, end)
        # Not inside of the spaces at the start of a line, which show its place.
        if space > 0 and line[:space].strip():
            end = space + 1
        yield line[:end].rstrip()
        line = line[end:]
        if not line:
            return
    yield line


def cells(text: str) -> int:
    """The number of cells that a text takes in a terminal."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def _lines_of(text: str) -> list[str]:
    """The lines of a text, masked and safe, without the empty ones at its end."""
    shown = safe_lines(mask_output(text).replace("\r\n", "\n")).expandtabs(4)
    # Not `splitlines`, which splits at more characters; those are shown as their escapes.
    return shown.rstrip("\n ").split("\n")


def _block(lines: list[str], margin: str, width: int | None) -> Iterator[str]:
    for line in lines:
        parts = [line] if width is None else wrap(line, max(_LEAST_CELLS, width - cells(margin)))
        for part in parts:
            yield f"{margin}{part}".rstrip()


def _end_within(line: str, width: int) -> int:
    """How many characters of the line fit in `width` cells; at least 1."""
    taken = 0
    for end, character in enumerate(line):
        taken += _cells_of(character)
        if taken > width:
            return max(1, end)
    return len(line)


def _cells_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _width_of(stream: TextIO) -> int | None:
    """The width of a terminal in cells; None for anything else, which is not wrapped."""
    try:
        if not stream.isatty():
            return None
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None

"""The problems of a spec as people read them: the place, the message, and the line with a caret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from orc.cli.terminal.text import safe
from orc.scheduler.core.errors import SpecError

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_WIDTH = 100
_BEFORE = 60


def problem_lines(error: SpecError) -> Iterator[str]:
    """The lines to print, safe for a terminal; each problem's first is `file:line:column: message`."""
    source = _read_lines(error.source_name)
    for problem, line in zip(error.problems, error.lines(), strict=True):
        yield safe(line)
        if 0 < problem.line <= len(source):
            yield from _excerpt(source[problem.line - 1], problem.line, problem.column)


def _excerpt(text: str, line: int, column: int) -> Iterator[str]:
    # What stands before the host of an address may be a password.
    text = _CREDENTIALS.sub(lambda found: "*" * len(found[0]), text)
    # A long line is shown around its place.
    start = max(0, column - 1 - _BEFORE) if len(text) > _WIDTH else 0
    before = safe(text[start : column - 1].expandtabs(1))
    shown = before + safe(text[column - 1 : start + _WIDTH].expandtabs(1))
    margin = f"{line:>5} | "
    yield f"{margin}{shown}"
    yield f"{' ' * (len(margin) - 2)}| {' ' * len(before)}^"


def _read_lines(name: str) -> list[str]:
    try:
        if not Path(name).is_file():
            # A pipe has said what it had to say.
            return []
        return Path(name).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError, ValueError):
        return []

"""Formats the problems of a spec: line and column, message, and the line with a caret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from orc.cli.jobs.caller.spec_files import read_yaml_bytes
from orc.cli.output_mask import mask_output
from orc.cli.terminal.text import safe
from orc.scheduler.core.errors import SpecError

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_WIDTH = 100
_BEFORE = 60


def problem_lines(error: SpecError) -> Iterator[str]:
    """The lines to print, safe for a terminal; each problem's first is `file:line:column: message`."""
    source = _read_lines(error.source_name)
    # Masked as a whole, since a secret may have several lines. Lines may become one.
    shown = frozenset(mask_output("\n".join(source)).split("\n"))
    for problem, line in zip(error.problems, error.lines(), strict=True):
        yield safe(line)
        # A line with a secret is left out: only a part of it would be shown, and of the secret, too.
        if 0 < problem.line <= len(source) and source[problem.line - 1] in shown:
            yield from _excerpt(source[problem.line - 1], problem.line, problem.column)


def _excerpt(text: str, line: int, column: int) -> Iterator[str]:
    # A URL may have a password before its host.
    text = _CREDENTIALS.sub(lambda found: "*" * len(found[0]), text)
    # Of a long line, only the part around the problem is shown.
    start = max(0, column - 1 - _BEFORE) if len(text) > _WIDTH else 0
    before = safe(text[start : column - 1].expandtabs(1))
    shown = before + safe(text[column - 1 : start + _WIDTH].expandtabs(1))
    margin = f"{line:>5} | "
    yield f"{margin}{shown}"
    yield f"{' ' * (len(margin) - 2)}| {' ' * len(before)}^"


def _read_lines(name: str) -> list[str]:
    try:
        return read_yaml_bytes(Path(name)).decode("utf-8-sig").splitlines()
    except (OSError, SpecError, ValueError):
        return []

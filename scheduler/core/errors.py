"""What can be wrong with a spec or a template.

SpecError        the author of the spec: every problem found, with its place
TemplateError    the author of the spec: an expression cannot be evaluated
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar

from orc.ledger import exit_codes


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: a sentence, and where (line and column from 1, 0 if unknown)."""

    message: str
    line: int = 0
    column: int = 0


class SpecError(Exception):
    """A spec that cannot be used; `problems` has all that was found, in order of line."""

    exit_code: ClassVar[int] = exit_codes.USAGE

    def __init__(self, source_name: str, problems: Iterable[Problem]) -> None:
        self.source_name = source_name
        self.problems = tuple(sorted(problems, key=lambda found: (found.line, found.column)))
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """The problems as `file:line:column: message`, one a line."""
        return [
            f"{self.source_name}:{found.line}:{found.column}: {found.message}"
            if found.line
            else f"{self.source_name}: {found.message}"
            for found in self.problems
        ]


class TemplateError(Exception):
    """An expression that does not parse, is not allowed, or has no value here."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the closest allowed name, else the allowed ones, else nothing."""
    names = sorted(allowed)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    if 0 < len(names) <= 12:
        return f"; known: {', '.join(names)}"
    return ""

"""The errors of specs and templates. The author of the spec acts next.

SpecError        the spec has problems; each has its place
TemplateError    an expression cannot be parsed or evaluated
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, ClassVar, Final

from msgspec import Struct

from orc.ledger import exit_codes

NOTHING: Final = "nothing (null)"
"""How messages name a null, also that of a key with nothing behind it."""


class Problem(Struct, frozen=True):
    """One problem: a sentence, and its line and column from 1 (0 if unknown)."""

    message: str
    line: int = 0
    column: int = 0

    def line_in(self, source_name: str) -> str:
        """The problem as `file:line:column: message`, as far as its place is known."""
        place = f":{self.line}:{self.column}" * bool(self.line)
        return f"{source_name}{place}: {self.message}"


class SpecError(Exception):
    """The spec has problems; `problems` lists them by line and column."""

    exit_code: ClassVar[int] = exit_codes.USAGE

    def __init__(self, source_name: str, problems: Iterable[Problem]) -> None:
        self.source_name = source_name
        self.problems = tuple(sorted(problems, key=lambda found: (found.line, found.column)))
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """The problems, each as `file:line:column: message`."""
        return [found.line_in(self.source_name) for found in self.problems]


class TemplateError(Exception):
    """An expression does not parse, is not allowed, or cannot be evaluated."""


def nearest(name: str, allowed: Iterable[str], *, or_known: Iterable[str] | None = None) -> str:
    """A hint: `; did you mean 'x'?`, or the allowed names if there are at most 12, or nothing.

    `or_known` are the names to list, if those are fewer.
    """
    names = sorted(allowed)
    lowered = {each.lower(): each for each in names}
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    if not close:
        close = [
            lowered[each] for each in get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
        ]
    if close:
        return f"; did you mean {close[0]!r}?"
    names = names if or_known is None else sorted(or_known)
    if 0 < len(names) <= 12:
        return f"; known: {', '.join(names)}"
    return ""


def shown_value(value: Any) -> str:
    """The value in a message, as a person would write it; of a list or a mapping, only what it is."""
    if value is None:
        return NOTHING
    if isinstance(value, dict | list):
        return f"{'a' if value else 'an empty'} {'mapping' if isinstance(value, dict) else 'list'}"
    return str(value).lower() if isinstance(value, bool) else repr(value)

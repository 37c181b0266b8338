"""The words of a command, as far as they are known before it runs: literal text, and holes.

Which programs read a word again as code is left to `programs.py`.
"""

from __future__ import annotations

from msgspec import Struct

from orc.scheduler.core.errors import TemplateError


class Hole(Struct, frozen=True):
    """A part of a word that is known only when the command runs.

    `shown` is how the spec writes it. `is_value` is whether the value of a template may be in it,
    and `splits` whether the shell splits it into several words. `in_doubt` is whether nothing in
    the text shows that a value gets there: what a program prints, for instance.
    """

    shown: str
    is_value: bool
    splits: bool = False
    in_doubt: bool = False

    @property
    def is_template(self) -> bool:
        """Whether it is the value of a template, as one word."""
        return self.shown.startswith("${{")


class Word(Struct, frozen=True):
    """One word of a command: its parts in order, and its line in the text, from 1."""

    parts: tuple[str | Hole, ...]
    line: int = 1

    @property
    def literal(self) -> str | None:
        """The word's text; None if it has a hole."""
        return None if self.holes else "".join(map(str, self.parts))

    @property
    def holes(self) -> tuple[Hole, ...]:
        """The word's holes, in order."""
        return tuple(part for part in self.parts if isinstance(part, Hole))

    @property
    def value(self) -> Hole | None:
        """The first hole in which the value of a template may be."""
        return next((hole for hole in self.holes if hole.is_value), None)

    @property
    def certain_value(self) -> Hole | None:
        """The first hole in which the text itself shows a value."""
        return next((hole for hole in self.holes if hole.is_value and not hole.in_doubt), None)

    @property
    def splits(self) -> bool:
        """Whether a value may become several words."""
        return any(hole.is_value and hole.splits for hole in self.holes)

    @property
    def prefix(self) -> str:
        """The literal text before the first hole."""
        found = ""
        for part in self.parts:
            if isinstance(part, Hole):
                break
            found += part
        return found

    @property
    def suffix(self) -> str:
        """The literal text after the last hole."""
        found = ""
        for part in reversed(self.parts):
            if isinstance(part, Hole):
                break
            found = part + found
        return found

    def without(self, chars: int) -> Word:
        """The word less the first characters of its prefix."""
        left = self.prefix[chars:]
        rest = self.parts
        while rest and isinstance(rest[0], str):
            rest = rest[1:]
        return Word((left, *rest) if left else rest, self.line)

    def __str__(self) -> str:
        return "".join(part if isinstance(part, str) else part.shown for part in self.parts)


class Input(Struct, frozen=True):
    """The standard input of a command: a value that may be in it, or its text if that is known."""

    value: Hole | None = None
    text: str = ""

    @property
    def certain_value(self) -> Hole | None:
        """The value, if the text itself shows that it gets here."""
        return None if self.value is None or self.value.in_doubt else self.value


NO_INPUT = Input()


def refuse(hole: Hole, why: str, instead: str) -> TemplateError:
    """The error for a value that may be run as code: why, and what to write instead."""
    return TemplateError(f"{hole.shown}: {why}; {instead}")


BY_VARIABLE = (
    'give the value a name, `env: {NAME: "${{ ... }}"}`, and let the script that needs it read '
    "$NAME"
)

"""The names of the files into which a shell text may write the value of a template."""

from __future__ import annotations

import fnmatch
import posixpath
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from orc.scheduler.core.shell.shell_words import Hole, Word

Certainty = Literal["known", "named", "in doubt"]
"""How a file gets a value: by what is known of the program, or since a program names the file, or
perhaps, since it is not known what a program prints."""


class WrittenFiles(Struct, frozen=True):
    """Files by their names without folders, each with the places of the text that write it.

    `ends` are the texts after a value in the name of a file. `known` and `named` are the files that
    get a value by what is known, and those that a program which gets one names. A program that is
    at the place `beside` does not count: it names the script that it runs.
    """

    names: dict[str, set[int]] = field(default_factory=dict)
    ends: set[str] = field(default_factory=set)
    known: dict[str, Word] = field(default_factory=dict)
    named: dict[str, Word] = field(default_factory=dict)
    beside: int = -2

    def add(self, word: Word, certainty: Certainty, place: int) -> bool:
        """Add a file that the command at a place of the text writes; whether it is new."""
        before = self._sizes(word)
        if word.value:
            # The value may have any folder in it, and any name before the text after it.
            self.ends.add(word.suffix)
        else:
            places = self.names.setdefault(_name(word), set())
            places.add(place if certainty == "named" else -1)
        if certainty != "in doubt":
            (self.known if certainty == "known" else self.named).setdefault(str(word), word)
        return before != self._sizes(word)

    def _sizes(self, word: Word) -> tuple[int, ...]:
        places = self.names.get(_name(word), ())
        return len(places), len(self.ends), len(self.known), len(self.named)

    def may_have(self, word: Word, *, by_name: bool = False) -> bool:
        """Whether the word may name one of the files, in whatever folder.

        `by_name` leaves out those with a value in their names.
        """
        if word.holes and isinstance(word.parts[0], Hole) and "ORC_SPEC_DIR" in word.parts[0].shown:
            return False
        name = _name(word)
        found = [name] if name in self.names else []
        if any(mark in name for mark in "*?["):
            found = fnmatch.filter(self.names, name)
        if any(self.names[other] - {self.beside} for other in found):
            return True
        return not by_name and any(str(word).endswith(end) for end in self.ends)

    def seen_from(self, place: int) -> WrittenFiles:
        """The same files, seen from the command at a place of the text."""
        return replace(self, beside=place)

    def copy(self) -> WrittenFiles:
        """The files as those of a text around another one."""
        names = {name: {-1} for name, places in self.names.items() if places - {self.beside}}
        return WrittenFiles(names, set(self.ends), dict(self.known), dict(self.named))


def _name(word: Word) -> str:
    return posixpath.basename(str(word))

"""Reads the words of a command as its program does: options, their arguments, and other words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from orc.scheduler.core.shell.shell_words import Hole, Word

NOTHING = Word(())
"""The argument of an option that has none."""


class Part(Struct, frozen=True):
    """A word of a command as its program reads it: an option's argument, or a word of its own."""

    option: str
    word: Word


def parts_of(
    words: Sequence[Word], taking: frozenset[str], attached: frozenset[str] = frozenset()
) -> Iterator[Part]:
    """The options with their arguments, and the other words."""
    rest = list(words)
    while rest:
        if rest[0].literal == "--":
            yield from (Part("", word) for word in rest[1:])
            return
        parts, count = first_parts(rest, taking, attached)
        yield from parts
        del rest[:count]


def first_parts(
    words: Sequence[Word], taking: frozenset[str], attached: frozenset[str] = frozenset()
) -> tuple[list[Part], int]:
    """What the first word gives, and how many words that takes.

    An option without an argument has an empty word. A word that is, or has, a value in the place of
    an option has the option `?`.
    """
    word, *rest = words
    prefix = word.prefix
    if (not prefix and word.value) or word.splits:
        return [Part("?", word)], 1
    if rest and rest[0].splits:
        # Words after the first one of the value would be options.
        rest[0] = Word((Hole(str(rest[0]), is_value=True),), rest[0].line)
    if prefix[:1] not in ("-", "+") or word.literal in ("-", "+"):
        return [Part("", word)], 1
    name, equals, _ = prefix.lstrip("-").partition("=")
    if prefix.startswith("--") or name in taking - set(name[:1]):
        if equals:
            return [Part(name, word.without(prefix.index("=") + 1))], 1
        if word.value:
            return [Part("?", word)], 1
        if name in taking and rest:
            return [Part(name, rest[0])], 2
        return [Part(name, NOTHING)], 1
    if equals and len(name) > 1 and not (taking | attached).intersection(name):
        return [Part(name, word.without(prefix.index("=") + 1))], 1
    found: list[Part] = []
    for place, letter in enumerate(prefix[1:], start=2):
        left = word.without(place)
        if letter in taking and not left.parts and rest:
            return [*found, Part(letter, rest[0])], 2
        if letter in taking or letter in attached:
            return [*found, Part(letter, left)], 1
        found.append(Part(letter, NOTHING))
    return ([*found, Part("?", word)] if word.value else found), 1

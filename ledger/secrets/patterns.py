"""Regular expressions that also know their beginnings, for text that arrives in pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct


class Pattern(Struct, frozen=True):
    """A regular expression with bounded matches.

    `starts` matches every proper, non-empty prefix of what `source` matches, and may match more; it
    is empty if there is none. `size_max` is the longest match in characters. `choices` and `parts`
    are the patterns of which it consists, if it is a choice or a sequence of others. `ways` are
    single texts, one for each length, if it is a text that may be repeated.
    """

    source: str
    starts: str
    size_max: int
    choices: tuple[Pattern, ...] = ()
    parts: tuple[Pattern, ...] = ()
    ways: tuple[Pattern, ...] = ()


def literal(text: str) -> Pattern:
    """Exactly this text."""
    starts = ""
    for character in reversed(text[:-1]):
        starts = re.escape(character) + (f"(?:{starts})?" if starts else "")
    return Pattern(re.escape(text), starts, len(text))


NOTHING = literal("")
_FIRST = re.compile(r"\\.|\[[^\]]*\]|[^\\]", re.DOTALL)


def one_of(characters: str) -> Pattern:
    """One character of a class, such as `0-9a-f`."""
    return Pattern(f"[{characters}]", "", 1)


def repeated(single: Pattern, least: int, most: int) -> Pattern:
    """A pattern for one character, repeated as often as it is there; none may follow it."""
    source = f"{single.source}{{{least},{most}}}+"
    if least == 1:
        source = single.source + (f"{single.source}{{0,{most - 1}}}+" if most > 1 else "")
    ways = tuple(
        Pattern(single.source * times, single.source * (times - 1), times)
        for times in range(most, least - 1, -1)
    )
    return Pattern(source, f"{single.source}{{1,{most}}}", most, ways=ways)


def with_repeats(first: str, again: str, most: int) -> Pattern:
    """The first text, and after it another one up to `most` times."""
    longest = literal(first + again * most)
    ways = tuple(literal(first + again * times) for times in range(most, -1, -1))
    source = f"{re.escape(first)}(?:{re.escape(again)}){{0,{most}}}"
    return Pattern(source, longest.starts, longest.size_max, ways=ways)


def either(*patterns: Pattern) -> Pattern:
    """Any of the patterns; the first one that matches counts."""
    known = list(dict.fromkeys(patterns))
    if len(known) == 1:
        return known[0]
    starts = dict.fromkeys(pattern.starts for pattern in known if pattern.starts)
    return Pattern(
        f"(?:{'|'.join(pattern.source for pattern in known)})",
        f"(?:{'|'.join(starts)})" if starts else "",
        max(pattern.size_max for pattern in known),
        choices=tuple(known),
    )


def optional(pattern: Pattern) -> Pattern:
    """The pattern, or nothing."""
    source = f"(?:{pattern.source})?"
    return Pattern(source, pattern.starts, pattern.size_max, choices=(pattern, NOTHING))


def sequence(*patterns: Pattern) -> Pattern:
    """The patterns one after the other."""
    starts = patterns[-1].starts
    for pattern in reversed(patterns[:-1]):
        whole = pattern.source + (f"(?:{starts})?" if starts else "")
        starts = f"(?:{pattern.starts}|{whole})" if pattern.starts else whole
    return Pattern(
        "".join(pattern.source for pattern in patterns),
        starts,
        sum(pattern.size_max for pattern in patterns),
        parts=patterns,
    )


def unless_followed_by(characters: str) -> Pattern:
    """Nothing, where no character of the class follows."""
    return Pattern(f"(?![{characters}])", "", 0)


def by_first_character(pattern: Pattern) -> Iterator[Pattern]:
    """The choices of the pattern, each with its first character as text.

    `re` searches fast for a choice of such patterns.
    """
    if pattern.choices:
        for choice in pattern.choices:
            yield from by_first_character(choice)
    elif pattern.parts:
        first, *others = pattern.parts
        for choice in by_first_character(first):
            if choice is not NOTHING:
                yield sequence(choice, *others) if others else choice
            elif others:
                yield from by_first_character(sequence(*others))
    else:
        yield pattern


def every_beginning(pattern: Pattern) -> Iterator[Pattern]:
    """The choices of the pattern, each with one of the texts with which it can begin.

    Of a text that may be repeated, each number of times is a choice of its own. So each length is
    found that a match can have because of its beginning.
    """
    if pattern.ways:
        yield from pattern.ways
    elif pattern.choices:
        for choice in pattern.choices:
            yield from every_beginning(choice)
    elif pattern.parts:
        first, *others = pattern.parts
        for beginning in every_beginning(first):
            yield sequence(beginning, *others) if others else beginning
    else:
        yield pattern


def sorted_choice(pattern: Pattern) -> Pattern:
    """The same pattern, written so that `re` looks only at choices with the right first character.

    Which of several matches at one place is found may differ.
    """
    groups: dict[str, dict[str, None]] = {}
    for choice in by_first_character(pattern):
        first = _FIRST.match(choice.source)
        if first is not None:
            groups.setdefault(first[0], {})[choice.source[first.end() :]] = None
    sources = []
    for first_source, rests in groups.items():
        # What may end here is tried last.
        ordered = sorted(rests, key=lambda rest: not rest)
        rest = ordered[0] if len(ordered) == 1 else f"(?:{'|'.join(ordered)})"
        sources.append(first_source + rest)
    source = sources[0] if len(sources) == 1 else f"(?:{'|'.join(sources)})"
    return Pattern(source, pattern.starts, pattern.size_max, choices=(pattern,))


def first_characters(pattern: Pattern) -> frozenset[str] | None:
    """The characters with which a match can begin; None if it can begin with a class of them."""
    found = set()
    for choice in by_first_character(pattern):
        first = _FIRST.match(choice.source)
        if first is None or first[0].startswith("["):
            return None
        found.add(first[0][-1])
    return frozenset(found)


def digits_of_either_case(code: str) -> Pattern:
    """A hexadecimal number, in digits of either case."""
    pieces = (f"{digit}{digit.upper()}" if digit in "abcdef" else digit for digit in code.lower())
    return sequence(*(one_of(piece) if len(piece) > 1 else literal(piece) for piece in pieces))

"""A form of a secret: a sequence of units, each of which is a character in some spelling."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache, cached_property
from itertools import islice

from msgspec import Struct

from orc.ledger.secrets.patterns import (
    NOTHING,
    Pattern,
    either,
    every_beginning,
    first_characters,
    literal,
    optional,
    sequence,
    sorted_choice,
)

_HEAD_UNITS = 6
"""More of them make a search a little more exact, and the first search slow: each takes milliseconds
to compile, in all its spellings."""
_KNOWN_MAX = 10_000
_HEAD_UNCERTAIN = 3
_BREAKS = frozenset("\r\n\\%=?")


class Unit:
    """One character of a form in all its spellings.

    `plain` is the text of the character itself. No other spelling begins with it unless the unit is
    uncertain; then each spelling is tried on its own. An `absent` unit may also be left out; it is
    neither the first nor the last one.
    """

    def __init__(
        self,
        plain: str,
        others: tuple[Pattern, ...],
        *,
        uncertain: bool = False,
        absent: bool = False,
    ) -> None:
        every = either(*((literal(plain), *others) if plain else others))
        self.plain = plain
        self.has_others = bool(others)
        self.is_uncertain = uncertain
        present = sorted_choice(every)
        self.whole = optional(present) if absent else present
        self.may_be_absent = absent
        self._patterns = tuple(every_beginning(every)) if uncertain else (present,)

    @cached_property
    def _regexes(self) -> dict[str, list[re.Pattern[str]]]:
        """The spellings by their first character; below the empty text those without one."""
        found: dict[str, list[re.Pattern[str]]] = {}
        for pattern in self._patterns:
            firsts = first_characters(pattern)
            for first in ("",) if firsts is None else firsts:
                found.setdefault(first, []).append(re.compile(pattern.source))
        return found

    @cached_property
    def _starts(self) -> re.Pattern[str]:
        return re.compile(rf"(?:{self.whole.starts})\Z")

    @cached_property
    def _firsts(self) -> frozenset[str] | None:
        return first_characters(self.whole)

    def ends(self, text: str, at: int) -> list[int]:
        """The ends of all its spellings at this place, which is not the end of the text."""
        plain = self.plain
        if plain and not self.is_uncertain and text.startswith(plain, at):
            return [at + len(plain)]
        if not self.has_others:
            return [at + len(plain)] if text.startswith(plain, at) else []
        left_out = [at] if self.may_be_absent else []
        regexes = self._regexes.get(text[at]) or self._regexes.get("")
        if regexes is None:
            return left_out
        found = (regex.match(text, at) for regex in regexes)
        return [*left_out, *(match.end() for match in found if match is not None)]

    def may_begin(self, text: str, at: int) -> bool:
        """Whether the text ends here inside of a spelling, or in one that may be longer."""
        if not self.whole.starts or not 0 < len(text) - at < self.whole.size_max:
            return False
        if self.plain and not self.is_uncertain and text.startswith(self.plain, at):
            return False
        # It takes milliseconds to compile, and most texts end in characters with which none begins.
        if self._firsts is not None and text[at] not in self._firsts:
            return False
        return self._starts.match(text, at) is not None


class KnownEnds:
    """The ends of spellings in one text by their places, so that none is searched for twice.

    In a run of backslashes, each of them may belong to any spelling that starts before it.
    """

    def __init__(self) -> None:
        self._found: dict[Unit, dict[int, list[int]]] = {}
        self._breaks: dict[str, dict[int, int]] = {}
        self._in_vain: dict[tuple[int, int], set[int]] = {}

    def ends(self, unit: Unit, text: str, at: int) -> list[int]:
        """The ends of the unit's spellings at a place; none at the end of the text."""
        found = self._found.get(unit)
        if found is None:
            found = self._found[unit] = {}
        ends = found.get(at)
        if ends is None:
            if len(found) >= _KNOWN_MAX:
                found.clear()
            ends = found[at] = unit.ends(text, at) if at < len(text) else []
        return ends

    def in_vain(self, form: Form, number: int) -> set[int]:
        """Places from which the form's units, from that number on, do not match."""
        return self._in_vain.setdefault((id(form), number), set())

    def after_break(self, between: Pattern, text: str, at: int) -> int:
        """The end of what stands between two units at a place: the place itself if nothing does."""
        found = self._breaks.setdefault(between.source, {})
        if at not in found:
            if len(found) >= _KNOWN_MAX:
                found.clear()
            match = _compiled(between.source).match(text, at)
            found[at] = at if match is None else match.end()
        return found[at]


class Form(Struct, frozen=True, dict=True):
    """One way to write a secret, as a sequence of units, usually one per character.

    `make_units` returns the units; it is called when a text may have the form, since that takes time.
    `between` may stand between two units. No match is longer than `size_max` characters. Each match
    contains one of the `anchors`, plain texts that are fast to search for, unless `has_codes` and
    the text has codes of letters or soft breaks. Without anchors, the text must always be searched.
    """

    make_units: Callable[[], Iterable[Unit]]
    between: Pattern
    size_max: int
    anchors: tuple[str, ...]
    has_codes: bool = False

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """The units, at least two."""
        return tuple(self.make_units())

    @cached_property
    def first_units(self) -> tuple[Unit, ...]:
        """The first two units, without the time for the others."""
        return tuple(islice(self.make_units(), 2))

    @property
    def is_prepared(self) -> bool:
        """Whether the form has been searched for before: its patterns are compiled."""
        return "head" in self.__dict__

    @cached_property
    def head(self) -> re.Pattern[str]:
        """The first units. Each match of the form begins with a match of the head."""
        return re.compile(self.between.source.join(unit.whole.source for unit in self._in_head))

    @cached_property
    def _head_size_max(self) -> int:
        return sum(unit.whole.size_max + self.between.size_max for unit in self._in_head)

    @cached_property
    def _in_head(self) -> list[Unit]:
        """The units of the head: few of which one spelling is the beginning of another.

        The time of a search then does not grow faster than the text.
        """
        chosen: list[Unit] = []
        uncertain = 0
        for unit in self.units[:_HEAD_UNITS]:
            uncertain += unit.is_uncertain
            if uncertain > _HEAD_UNCERTAIN:
                break
            chosen.append(unit)
        return chosen

    @cached_property
    def _literal(self) -> str:
        """The form in plain characters, if nothing longer can begin with it; else empty."""
        if self.units[-1].is_uncertain or not all(unit.plain for unit in self.units):
            return ""
        return "".join(unit.plain for unit in self.units)

    def opening(self) -> str:
        """A pattern for the first unit, or for a part of it at the end of the text.

        What comes next has to begin like the second unit: all its spellings would take long to
        compile.
        """
        first, second = self.first_units
        firsts = first_characters(sequence(self.between, second.whole))
        is_known = firsts is not None and not second.may_be_absent
        after = rf"(?:[{re.escape(''.join(sorted(firsts or ())))}]|\Z)" if is_known else ""
        before = rf"|(?:{first.whole.starts})\Z" if first.whole.starts else ""
        return f"{first.whole.source}{after}{before}"

    @cached_property
    def first_characters(self) -> frozenset[str] | None:
        """The characters with which a match can begin; None for any."""
        return first_characters(self.first_units[0].whole)

    def end(self, text: str, start: int, known: KnownEnds) -> int | None:
        """The end of the longest match that starts here, or None. `known` is kept for one text."""
        if self._literal and text.startswith(self._literal, start):
            return start + len(self._literal)
        places = [start]
        visited: list[tuple[set[int], list[int]]] = []
        for number, unit in enumerate(self.units):
            if len(places) > 1:
                in_vain = known.in_vain(self, number)
                places = [place for place in places if place not in in_vain]
                visited.append((in_vain, places))
            if number:
                places = self._after_breaks(text, places, known)
            if len(places) == 1:
                found = unit.ends(text, places[0]) if places[0] < len(text) else []
            else:
                found = [end for place in places for end in known.ends(unit, text, place)]
            if not found:
                for in_vain, those in visited:
                    if len(in_vain) >= _KNOWN_MAX:
                        in_vain.clear()
                    in_vain.update(those)
                return None
            places = found if len(found) == 1 else list(dict.fromkeys(found))
        return max(places)

    def may_be_open(self, text: str, start: int, known: KnownEnds) -> bool:
        """Whether more text could make or change a match that starts here."""
        size = len(text)
        if size - start > self.size_max:
            return False
        if size - start > self._head_size_max and not self.head.match(text, start):
            return False
        places = [start]
        for number, unit in enumerate(self.units):
            if number:
                if any(self._breaks_off(text, place) for place in places):
                    return True
                places = self._after_breaks(text, places, known)
            if size in places or any(unit.may_begin(text, place) for place in places):
                return True
            places = list(
                dict.fromkeys(end for place in places for end in known.ends(unit, text, place))
            )
            if not places:
                return False
        return False

    def _after_breaks(self, text: str, places: list[int], known: KnownEnds) -> list[int]:
        if self.between is NOTHING:
            return places
        found = list(places)
        for place in places:
            if text[place : place + 1] in _BREAKS:
                end = known.after_break(self.between, text, place)
                found += [end] * (end > place)
        return found

    def _breaks_off(self, text: str, place: int) -> bool:
        if not self.between.starts or len(text) - place > self.between.size_max:
            return False
        return _compiled(rf"(?:{self.between.starts})\Z").match(text, place) is not None


@cache
def _compiled(source: str) -> re.Pattern[str]:
    return re.compile(source)

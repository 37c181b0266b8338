"""The forms in which the value of a secret is searched for, each a sequence of units.

A form is the value in the spellings of `encoders.py`; in base64 or base32 at every alignment, in
either alphabet, wrapped into lines or not; in hexadecimal; or as UTF-16. If a value has several
lines, each long line is searched for on its own, too.
"""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import islice

from orc.ledger.secrets.encoders import (
    INDENT,
    LINE_END,
    REAL_LINE_END,
    SOFT_BREAK,
    content_of,
    is_word,
    spellings,
)
from orc.ledger.secrets.patterns import (
    NOTHING,
    Pattern,
    digits_of_either_case,
    either,
    every_beginning,
    first_characters,
    literal,
    optional,
    sequence,
    sorted_choice,
)

LINE_CHARS_MIN = 16
"""Lines of a value that have at least this length are treated as secrets of their own."""

WRAPPED_CHARS_MIN = 64
"""Base64 that is wrapped into shorter lines is not found."""

UNIT_CHARS_MAX = 300
"""No spelling of a character is longer; a test compares this with the table of encoders."""

_ANCHOR_CHARS_MIN = 4
_PLAIN = re.compile("[A-Za-z0-9_.~-]+")
_HEAD_UNITS = 12
_KNOWN_MAX = 10_000
_HEAD_UNCERTAIN = 3
# The characters of which one spelling is the beginning of another: the number of U+00C3 is also the
# first of its two bytes in UTF-8.
_UNCERTAIN = frozenset("\\%&='\"`^$\r\n\xc3")
_SOFT_BREAK = optional(sorted_choice(SOFT_BREAK))
_ENCODED_BREAK = optional(sorted_choice(either(sequence(REAL_LINE_END, INDENT), LINE_END)))
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
        self._may_be_absent = absent
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
    def _starts(self) -> re.Pattern[str] | None:
        return re.compile(rf"(?:{self.whole.starts})\Z") if self.whole.starts else None

    def ends(self, text: str, at: int) -> list[int]:
        """The ends of all its spellings at this place, which is not the end of the text."""
        plain = self.plain
        if plain and not self.is_uncertain and text.startswith(plain, at):
            return [at + len(plain)]
        if not self.has_others:
            return [at + len(plain)] if text.startswith(plain, at) else []
        left_out = [at] if self._may_be_absent else []
        regexes = self._regexes.get(text[at]) or self._regexes.get("")
        if regexes is None:
            return left_out
        found = (regex.match(text, at) for regex in regexes)
        return [*left_out, *(match.end() for match in found if match is not None)]

    def may_begin(self, text: str, at: int) -> bool:
        """Whether the text ends here inside of a spelling, or in one that may be longer."""
        if len(text) - at >= self.whole.size_max or self._starts is None:
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


@dataclass(frozen=True)
class Form:
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
        """A pattern for the first two units, or for a part of them at the end of the text."""
        first, second = (unit.whole for unit in self.first_units)
        second = sequence(self.between, second)
        after = "|".join(filter(None, (second.source, rf"(?:{second.starts})\Z", r"\Z")))
        before = rf"|(?:{first.starts})\Z" if first.starts else ""
        return f"{first.source}(?:{after}){before}"

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


def spell_out(value: str, *, as_bytes: bool) -> list[Form]:
    """The forms in which the secret is searched for.

    With `as_bytes`, they are for bytes that were decoded as Latin-1.
    """
    return list(_forms(value, as_bytes))


def _forms(value: str, as_bytes: bool) -> Iterator[Form]:
    yield _spelled(value, as_bytes)
    line_feeds = _with_line_feeds(value)
    for whole in dict.fromkeys((value, line_feeds, line_feeds.replace("\n", "\r\n"))):
        yield from _encoded_whole(whole, as_bytes)
    lines = value.splitlines()
    if len(lines) > 1:
        for line in lines:
            # The first and the last line of a PEM file hold no part of the secret.
            if len(line.strip()) >= LINE_CHARS_MIN and not line.startswith("-----"):
                yield _spelled(line.strip(), as_bytes)


def _encoded_whole(value: str, as_bytes: bool) -> Iterator[Form]:
    content = b"".join(map(content_of, value))
    wide = value.encode("utf-16-le", "surrogatepass")
    for encoded in dict.fromkeys((content, *_texts_in_base64(value), wide)):
        for alignment in range(3):
            yield _in_base(encoded, alignment, bits=6)
    for alignment in range(5):
        yield _in_base(content, alignment, bits=5)
    yield _in_hexadecimal(content)
    yield from _wide(value, as_bytes)


def _texts_in_base64(value: str) -> Iterator[bytes]:
    """The value as other texts hold it that are often in base64 as a whole."""
    yield json.dumps(value)[1:-1].encode()
    for text in (json.dumps(value, ensure_ascii=False)[1:-1], html.escape(value)):
        yield b"".join(map(content_of, text))
    yield urllib.parse.quote_from_bytes(b"".join(map(content_of, value)), safe="").encode()


def _spelled(value: str, as_bytes: bool) -> Form:
    value = _with_line_feeds(value)
    plain = max(_PLAIN.findall(value), key=len, default="")
    anchors = (plain,) if len(plain) >= _ANCHOR_CHARS_MIN else ()
    return Form(
        lambda: (unit for character in value for unit in _units(character, as_bytes)),
        _SOFT_BREAK,
        (len(value) + value.count("\n")) * (UNIT_CHARS_MAX + _SOFT_BREAK.size_max),
        anchors,
        has_codes=True,
    )


def _with_line_feeds(value: str) -> str:
    return value.replace("\r\n", "\n")


def _units(character: str, as_bytes: bool) -> Iterator[Unit]:
    """The units of the character. A carriage return may precede a line feed, whatever the value has."""
    if character == "\n":
        yield _carriage_return()
    yield _unit(character, as_bytes)


@cache
def _carriage_return() -> Unit:
    return Unit("\r", tuple(spellings("\r")), uncertain=True, absent=True)


@cache
def _unit(character: str, as_bytes: bool) -> Unit:
    plain = content_of(character).decode("latin-1") if as_bytes else character
    return Unit(plain, tuple(spellings(character)), uncertain=character in _UNCERTAIN)


@cache
def _verbatim(text: str) -> Unit:
    return Unit(text, ())


@cache
def _base_unit(character: str, bits: int) -> Unit:
    if bits == 5 or character not in "+/":
        return _verbatim(character)
    other = literal("-" if character == "+" else "_")
    return Unit(character, (other, *spellings(character)))


@cache
def _hex_unit(code: str) -> Unit:
    return Unit("", (digits_of_either_case(code),))


def _in_base(content: bytes, alignment: int, *, bits: int) -> Form:
    """The part of the encoded text that does not depend on the bytes around the value."""
    encode = base64.b64encode if bits == 6 else base64.b32encode
    encoded = encode(bytes(alignment) + content).decode("ascii")
    first = -(-alignment * 8 // bits)
    core = encoded[first : (alignment + len(content)) * 8 // bits]
    # A line break can split at most one of the two halves.
    first_line = core[:WRAPPED_CHARS_MIN]
    half = len(first_line) // 2
    anchors = [
        max(re.findall("[A-Za-z0-9]+", part), key=len, default="")
        for part in (first_line[:half], first_line[half:])
    ]
    return Form(
        lambda: (_base_unit(character, bits) for character in core),
        _ENCODED_BREAK,
        len(core) * (1 + _ENCODED_BREAK.size_max) + len(re.findall("[+/]", core)) * UNIT_CHARS_MAX,
        tuple(anchors) if all(anchors) else (),
    )


def _in_hexadecimal(content: bytes) -> Form:
    codes = [f"{byte:02x}" for byte in content]
    begin = "".join(codes[:4])
    return Form(lambda: map(_hex_unit, codes), NOTHING, 2 * len(codes), (begin, begin.upper()))


def _wide(value: str, as_bytes: bool) -> Iterator[Form]:
    """UTF-16 in bytes of either order, and in text with a NUL character or its escape."""
    if as_bytes:
        for order in ("utf-16-le", "utf-16-be"):
            text = value.encode(order, "surrogatepass").decode("latin-1")
            yield Form(partial(map, _verbatim, text), NOTHING, len(text), (text,))
    if value.isascii() and all(map(is_word, value[:2])):
        anchors = tuple(f"{value[0]}{mark}{value[1]}" for mark in ("\0", r"\u0000", r"\x00"))
        yield Form(partial(_with_nul, value), NOTHING, 7 * len(value), anchors)


def _with_nul(value: str) -> Iterator[Unit]:
    nul = Unit("", (either(literal("\0"), literal(r"\u0000"), literal(r"\x00")),))
    yield _verbatim(value[0])
    for character in value[1:]:
        yield from (nul, _verbatim(character))

"""Finds the values of secrets in a text, also in one of which the end has not arrived yet.

The time is proportional to the length of the text, whatever it contains.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property

from orc.ledger.secrets.forms import Form, KnownEnds
from orc.ledger.secrets.spellings import spell_out

Span = tuple[int, int, int]
"""Start, end, and the number of the secret."""

_CODE = (
    # Codes of letters, digits and `-_.~`, and soft breaks, without which a plain part of a secret
    # stands in the text as it is.
    r"%(?:25){0,2}(?:u00)?HEX"
    r"|(?:\\|5[cC];?|&#0*92;)(?:[uU]0{2,6}HEX|x\{?0*HEX|u\{0*HEX"
    r"|0?(?:0[56]|1[0-7]|[567])[0-7]{1,2})"
    r"|(?:#|%23|0023;?|35;|23;)(?:0*(?:4[5-9]|5[0-7]|6[5-9]|[79][0-9]|8[0-9]|1[0-2][0-9])"
    r"|[xX]0*HEX)"
    r"|(?:25|37;|0025)HEX"
    r"|&[a-z]{2,8};"
    # Not a letter or digit alone, since `port=4000` is frequent in logs; encoders write only the
    # first one of a line alone, to protect `From` and `.`.
    r"|(?:=|3[dD])(?:2[dDeE]|5[fF]|7[eE]|HEX[\w.~-]{0,12}[=%\\])"
    r"|^=(?:46|2E)"
    r"|(?:=|\\|3[dD];?|61;)(?:\r?\n|\\{1,2}(?:[rn]|u000[dDaA])|%(?:25)?0[dDaA])"
    r"|(?:\?|3[fF])(?:=|%(?:25)?3[dD]|\\{1,2}u003[dD])(?:[ \t\r\n+]|\\|%)"
)
_HEX = "(?:3[0-9]|[46][0-9a-fA-F]|[57][0-9aAfF]|2[dDeE]|7[eE])"


class Search:
    """Searches for the values, each in all its forms."""

    def __init__(self, values: Sequence[str], *, as_bytes: bool) -> None:
        self._values = values
        self._as_bytes = as_bytes

    def first(self, text: str) -> int | None:
        """The number of the first value in the text; None if it has none."""
        for _, _, number in self._matches(text, self._possible(text), None):
            return number
        return None

    def scan(self, text: str, *, is_whole: bool = True) -> tuple[list[Span], int]:
        """The values in the text, and where the part begins that more text could change.

        If the text is whole, that is its end.
        """
        possible = self._possible(text)
        if is_whole:
            return list(self._matches(text, possible, None)), len(text)
        tail = _Tail(self, text)
        spans = list(self._matches(text, possible, tail))
        held_from = tail.next_open(spans[-1][1] if spans else 0)
        return spans, len(text) if held_from is None else held_from

    @cached_property
    def forms(self) -> list[tuple[int, Form]]:
        """The forms of all values, each with the number of its value."""
        return [
            (number, form)
            for number, value in enumerate(self._values)
            for form in spell_out(value, as_bytes=self._as_bytes)
        ]

    @cached_property
    def has_spaces(self) -> bool:
        """Whether a value has a space or a tab."""
        return any(" " in value or "\t" in value for value in self._values)

    @cached_property
    def size_max(self) -> int:
        """The longest match in characters."""
        return max(form.size_max for _, form in self.forms)

    @cached_property
    def opening(self) -> re.Pattern[str]:
        """A pattern for the first two units of any form, or a part of them at the end."""
        return re.compile("|".join(dict.fromkeys(form.opening() for _, form in self.forms)))

    def may_be_open(self, text: str, start: int, known: KnownEnds) -> bool:
        """Whether more text could make or change a match that starts here."""
        if start == len(text):
            return False
        forms = self._by_first.get(text[start], self._by_first[""])
        return any(form.may_be_open(text, start, known) for form in forms)

    @cached_property
    def _by_first(self) -> dict[str, list[Form]]:
        """The forms by the first character of a match; below the empty text, those with any."""
        anywhere = [form for _, form in self.forms if form.first_characters is None]
        found = {"": anywhere}
        for _, form in self.forms:
            for first in form.first_characters or ():
                found.setdefault(first, [*anywhere]).append(form)
        return found

    def _possible(self, text: str) -> list[tuple[int, Form]]:
        """The forms that the text can have, by cheap tests."""
        has_codes: bool | None = None
        found = []
        for number, form in self.forms:
            is_possible = not form.anchors or any(anchor in text for anchor in form.anchors)
            if not is_possible and form.has_codes and form.is_prepared:
                # Its search is faster than the test for codes.
                is_possible = True
            elif not is_possible and form.has_codes:
                if has_codes is None:
                    has_codes = may_have_codes(text)
                is_possible = has_codes
            if is_possible:
                found.append((number, form))
        return found

    def _matches(
        self, text: str, possible: list[tuple[int, Form]], tail: _Tail | None
    ) -> Iterator[Span]:
        """The first match, the first one after its end, and so on.

        Of matches that start at one place, the longest counts, then that of the first value.
        """
        waiting = [(0, number, form) for number, form in possible]
        candidates: list[tuple[int, int, Form]] = []
        at = 0
        known = KnownEnds()
        while True:
            for start, number, form in waiting:
                head = form.head.search(text, max(start, at))
                if head is not None:
                    candidates.append((head.start(), number, form))
            if not candidates:
                return
            start = min(candidate[0] for candidate in candidates)
            opened = None if tail is None else tail.next_open(at)
            if opened is not None and opened <= start:
                return
            best: Span | None = None
            waiting = []
            later = []
            for candidate in candidates:
                if candidate[0] > start:
                    later.append(candidate)
                    continue
                _, number, form = candidate
                waiting.append((start + 1, number, form))
                end = form.end(text, start, known)
                if end is not None and (best is None or end > best[1]):
                    best = (start, end, number)
            candidates = later
            if best is not None:
                yield best
                at = best[1]
                waiting += [candidate for candidate in candidates if candidate[0] < at]
                candidates = [candidate for candidate in candidates if candidate[0] >= at]


class _Tail:
    """The end of a text that is not whole: where a match may begin that is not complete yet."""

    def __init__(self, search: Search, text: str) -> None:
        self._search = search
        self._text = text
        self._known = KnownEnds()
        self._found: int | None = -1
        self._begin = max(0, len(text) - search.size_max)
        if not search.has_spaces:
            self._begin = _after_last_word(text, self._begin)

    def next_open(self, at: int) -> int | None:
        """The first place from `at` on where more text could make or change a match."""
        if self._found is not None and self._found < at:
            self._found = self._next(max(at, self._begin))
        return self._found

    def _next(self, at: int) -> int | None:
        while True:
            found = self._search.opening.search(self._text, at)
            if found is None:
                return None
            if self._search.may_be_open(self._text, found.start(), self._known):
                return found.start()
            at = found.start() + 1


def _after_last_word(text: str, begin: int) -> int:
    """The place after the last space that follows a word, from `begin` on: no match spans it.

    A match of a value without spaces has spaces only after a line end.
    """
    for mark in " \t":
        at = len(text)
        while (at := text.rfind(mark, begin, at)) > 0:
            if not text[at - 1].isspace():
                begin = at + 1
                break
    return begin


def may_have_codes(text: str) -> bool:
    """Whether the text has codes of letters or digits, or soft breaks."""
    if not any(mark in text for mark in "\\%&="):
        return False
    return _codes().search(text) is not None


def _codes() -> re.Pattern[str]:
    return re.compile(_CODE.replace("HEX", _HEX), re.ASCII | re.MULTILINE)

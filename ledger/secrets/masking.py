"""Replaces the values of secrets, in their usual spellings, in texts, bytes and JSON values.

`spellings.py` defines the spellings. Other encodings of a value (reversed, encrypted, in
hexadecimal) are not found. The caller supplies the secrets; a mask without secrets returns its
input unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from orc.ledger.secrets.spellings import encode_pattern, spell_out

SECRET_CHARS_MIN = 8
"""Shorter values are not masked: they would match in ordinary words."""


Piece = TypeVar("Piece", str, bytes)


class Mask:
    """Replaces the values of secrets with `[secret NAME]`. `values` maps names to values."""

    def __init__(self, values: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        named = values.items() if isinstance(values, Mapping) else values
        stripped = {(name, value.strip()) for name, value in named}
        # The longest value first, because one value may be a prefix of another.
        known = sorted(stripped, key=lambda item: (-len(item[1]), item))
        known = [(name, value) for name, value in known if len(value) >= SECRET_CHARS_MIN]
        self._known = tuple(known)
        self.names = tuple(name for name, _ in known)
        self._forms = [spell_out(value) for _, value in known]
        every = [form for forms in self._forms for form in forms]
        self._anchors: list[str] | None = None
        if all(form.anchors for form in every):
            self._anchors = list(dict.fromkeys(one for form in every for one in form.anchors))
        self._byte_anchors = [anchor.encode() for anchor in self._anchors or ()]
        self._labels = [f"[secret {name}]" for name in self.names]
        if any(self.find(label) for label in self._labels):
            self._labels = ["***"] * len(self.names)

    def __bool__(self) -> bool:
        return bool(self.names)

    def joined(self, other: Mask) -> Mask:
        """A mask with the secrets of both."""
        if set(other._known) <= set(self._known):
            return self
        return Mask((*self._known, *other._known))

    def text(self, text: str) -> str:
        """The text with secrets masked; the same object if it contains none."""
        return self._texts.pattern.sub(self._label, text) if self._may_have(text) else text

    def data(self, content: bytes) -> bytes:
        """The bytes with secrets masked; the same object if they contain none."""
        if not self._may_have(content):
            return content
        return self._bytes.pattern.sub(self._byte_label, content)

    def value(self, value: Any) -> Any:
        """The JSON value with secrets masked, also in keys.

        A number whose digits contain a secret becomes a string.
        """
        if not self.names:
            return value
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.text(str(key)): self.value(item) for key, item in value.items()}
            case list() | tuple():
                return type(value)(self.value(item) for item in value)
            case bool() | None:
                return value
            case int() | float():
                shown = repr(value)
                masked = self.text(shown)
                return value if masked == shown else masked
        return value

    def find(self, content: str | bytes) -> str | None:
        """The name of the first secret in the content; None if there is none."""
        if not self._may_have(content):
            return None
        found: re.Match[str] | re.Match[bytes] | None
        if isinstance(content, bytes):
            found = self._bytes.pattern.search(content)
        else:
            found = self._texts.pattern.search(content)
        return None if found is None else self.names[(found.lastindex or 1) - 1]

    def text_stream(self) -> MaskedStream[str]:
        """A masked stream for a text that arrives in pieces."""
        return MaskedStream("", self.text, self._texts if self.names else None)

    def byte_stream(self) -> MaskedStream[bytes]:
        """A masked stream for bytes that arrive in pieces."""
        return MaskedStream(b"", self.data, self._bytes if self.names else None)

    @cached_property
    def _texts(self) -> _Patterns[str]:
        whole, opening = self._sources()
        return _Patterns(
            lambda: re.compile(whole), re.compile(opening), self._longest(), self._label
        )

    @cached_property
    def _bytes(self) -> _Patterns[bytes]:
        whole, opening = map(encode_pattern, self._sources())
        return _Patterns(
            lambda: re.compile(whole), re.compile(opening), self._longest(), self._byte_label
        )

    def _sources(self) -> tuple[str, str]:
        """The pattern of all secrets, with a group for each; and the pattern of their openings."""
        whole = "|".join(
            f"({'|'.join(''.join(form.units) for form in forms)})" for forms in self._forms
        )
        openings = {form.opening(): None for forms in self._forms for form in forms}
        return whole, "|".join(openings)

    def _longest(self) -> int:
        return max(sum(form.sizes) for forms in self._forms for form in forms)

    def _may_have(self, content: str | bytes) -> bool:
        """A cheap test: False only if the content certainly has no secret."""
        if not self.names:
            return False
        if self._anchors is None:
            return True
        if isinstance(content, bytes):
            return any(anchor in content for anchor in self._byte_anchors)
        return any(anchor in content for anchor in self._anchors)

    def _label(self, found: re.Match[str]) -> str:
        return self._labels[(found.lastindex or 1) - 1]

    def _byte_label(self, found: re.Match[bytes]) -> bytes:
        return self._labels[(found.lastindex or 1) - 1].encode()


@dataclass(frozen=True)
class _Patterns(Generic[Piece]):
    """The compiled patterns for one type of content; `bytes_max` is the longest match in bytes.

    `opening` matches the first units of a secret. `pattern` matches whole secrets; it is slow to
    compile and seldom needed, so it is compiled at first use.
    """

    compile_pattern: Callable[[], re.Pattern[Piece]]
    opening: re.Pattern[Piece]
    bytes_max: int
    label: Callable[[re.Match[Piece]], Piece]

    @cached_property
    def pattern(self) -> re.Pattern[Piece]:
        return self.compile_pattern()


class MaskedStream(Generic[Piece]):
    """Masks content that arrives in pieces, with the same result as masking it as a whole.

    It holds back the end of a piece if a secret may begin there.
    """

    _nothing: Piece
    _held: Piece
    _mask: Callable[[Piece], Piece]
    _patterns: _Patterns[Piece] | None

    def __init__(
        self,
        nothing: Piece,
        mask: Callable[[Piece], Piece],
        patterns: _Patterns[Piece] | None,
    ) -> None:
        self._nothing = nothing
        self._held = nothing
        self._mask = mask
        self._patterns = patterns

    def feed(self, piece: Piece) -> Piece:
        """Add a piece; returns the masked content that no later piece can change."""
        patterns = self._patterns
        if patterns is None:
            return piece
        text = self._held + piece
        shown: list[Piece] = []
        # A match that starts at or before this index is complete: more content cannot extend it.
        sure = len(text) - patterns.bytes_max
        at = 0
        if self._mask(text) != text:
            for found in patterns.pattern.finditer(text):
                if found.start() > sure:
                    break
                shown += (text[at : found.start()], patterns.label(found))
                at = found.end()
        start = max(at, sure, 0)
        opening = patterns.opening.search(text, start)
        held_from = len(text) if opening is None else opening.start()
        shown.append(text[at:held_from])
        self._held = text[held_from:]
        return self._nothing.join(shown)

    def close(self) -> Piece:
        """End the stream; returns the masked content that was held back."""
        held, self._held = self._held, self._nothing
        return self._mask(held)


NO_MASK = Mask({})

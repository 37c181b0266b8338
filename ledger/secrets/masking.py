"""Replaces the values of secrets, in their usual spellings, in texts, bytes and JSON values.

`encoders.py` has the table of spellings, and `search.py` finds them. Other encodings of a value
(reversed, encrypted, compressed) are not found. The caller supplies the secrets; a mask without
secrets returns its input unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from orc.ledger.secrets.search import Search

SECRET_CHARS_MIN = 8
"""Shorter values are not masked: they would match in ordinary words."""


_SEPARATOR = "[=/.:,]"

Piece = TypeVar("Piece", str, bytes)


class Mask:
    """Replaces the values of secrets with `[secret NAME]`. `values` maps names to values."""

    def __init__(self, values: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        named = values.items() if isinstance(values, Mapping) else values
        stripped = {(name, value.strip()) for name, value in named}
        # The longest value first, because one value may be a prefix of another.
        known = sorted(stripped, key=lambda item: (-len(item[1]), item))
        self._known = tuple(item for item in known if len(item[1]) >= SECRET_CHARS_MIN)
        self.names = tuple(name for name, _ in self._known)

    def __bool__(self) -> bool:
        return bool(self.names)

    def joined(self, other: Mask) -> Mask:
        """A mask with the secrets of both."""
        if set(other._known) <= set(self._known):
            return self
        return Mask((*self._known, *other._known))

    def beginnings_in(self, texts: Iterable[str]) -> Mask:
        """A mask of the beginnings, up to a separator, of those secrets that are in one of the texts.

        A message about an argument such as `KEY=VALUE` or a path may print only its first part.
        """
        beginnings = []
        given = list(texts)
        for name, value in self._known:
            if any(Mask({name: value}).find(text) for text in given):
                beginnings += [
                    (name, value[: mark.start()]) for mark in re.finditer(_SEPARATOR, value)
                ]
        return Mask(beginnings)

    def text(self, text: str) -> str:
        """The text with secrets masked; the same object if it contains none."""
        if not self.names:
            return text
        spans, _ = self._texts.scan(text)
        return _replaced(text, spans, self._labels) if spans else text

    def data(self, content: bytes) -> bytes:
        """The bytes with secrets masked; the same object if they contain none."""
        if not self.names:
            return content
        text = content.decode("latin-1")
        spans, _ = self._bytes.scan(text)
        if not spans:
            return content
        return _replaced(text, spans, self._byte_labels).encode("latin-1")

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
        if not self.names:
            return None
        if isinstance(content, bytes):
            found = self._bytes.first(content.decode("latin-1"))
        else:
            found = self._texts.first(content)
        return None if found is None else self.names[found]

    def text_stream(self) -> MaskedStream[str]:
        """A masked stream for a text that arrives in pieces."""
        return MaskedStream("", _Hider(self._texts, self._labels) if self.names else None)

    def byte_stream(self) -> MaskedStream[bytes]:
        """A masked stream for bytes that arrive in pieces."""
        return MaskedStream(b"", _Hider(self._bytes, self._byte_labels) if self.names else None)

    @cached_property
    def _texts(self) -> Search:
        return self._search(as_bytes=False)

    @cached_property
    def _bytes(self) -> Search:
        return self._search(as_bytes=True)

    def _search(self, *, as_bytes: bool) -> Search:
        # Imported here, since the spellings load slowly, and many commands know no secret.
        from orc.ledger.secrets.search import Search

        return Search([value for _, value in self._known], as_bytes=as_bytes)

    @cached_property
    def _labels(self) -> list[str]:
        labels = [f"[secret {name}]" for name in self.names]
        return ["***"] * len(labels) if any(self.find(label) for label in labels) else labels

    @cached_property
    def _byte_labels(self) -> list[str]:
        return [label.encode().decode("latin-1") for label in self._labels]


class _Hider:
    """Masks text that arrives in pieces; `held` is the end of it, in which a secret may begin."""

    def __init__(self, search: Search, labels: list[str]) -> None:
        self._search = search
        self._labels = labels
        self.held = ""

    def feed(self, piece: str, *, is_last: bool = False) -> str:
        text = self.held + piece
        spans, held_from = self._search.scan(text, is_whole=is_last)
        self.held = text[held_from:]
        return _replaced(text[:held_from], spans, self._labels)


class MaskedStream(Generic[Piece]):
    """Masks content that arrives in pieces, with the same result as masking it as a whole.

    It holds back the end of a piece if a secret may begin there.
    """

    def __init__(self, nothing: Piece, hider: _Hider | None) -> None:
        self._nothing: Piece = nothing
        self._hider = hider

    def feed(self, piece: Piece) -> Piece:
        """Add a piece; returns the masked content that no later piece can change."""
        return piece if self._hider is None else self._feed(self._hider, piece, is_last=False)

    def close(self) -> Piece:
        """End the stream; returns the masked content that was held back."""
        if self._hider is None:
            return self._nothing
        return self._feed(self._hider, self._nothing, is_last=True)

    def _feed(self, hider: _Hider, piece: Piece, *, is_last: bool) -> Piece:
        if isinstance(piece, str):
            return hider.feed(piece, is_last=is_last)
        shown = hider.feed(piece.decode("latin-1"), is_last=is_last)
        return shown.encode("latin-1")


def _replaced(text: str, spans: Iterable[tuple[int, int, int]], labels: list[str]) -> str:
    shown: list[str] = []
    at = 0
    for start, end, number in spans:
        shown += (text[at:start], labels[number])
        at = end
    return "".join((*shown, text[at:]))


NO_MASK = Mask({})
"""For tests; `tests/test_architecture.py` keeps it out of everything else."""

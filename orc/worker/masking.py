"""Replaces the values of secrets in bytes before they are written or sent.

The coordinator masks again, with more spellings; what is masked here never leaves the memory of
the agent and of the command.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

SECRET_CHARS_MIN = 8
"""Shorter values are not masked: they would match in ordinary words."""


class SecretMask:
    """Replaces each value with `[secret NAME]`: as it is, and as JSON writes it."""

    def __init__(self, values: Mapping[str, str]) -> None:
        spellings: dict[bytes, bytes] = {}
        for name, value in sorted(values.items()):
            stripped = value.strip()
            if len(stripped) < SECRET_CHARS_MIN:
                continue
            label = f"[secret {name}]".encode()
            for text in (
                stripped,
                json.dumps(stripped)[1:-1],
                json.dumps(stripped, ensure_ascii=False)[1:-1],
            ):
                spellings.setdefault(text.encode("utf-8", "surrogateescape"), label)
        self._labels = spellings
        self._longest_first = sorted(spellings, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, self._longest_first)))

    def data(self, content: bytes) -> bytes:
        """The bytes with secrets masked."""
        if not self._labels:
            return content
        return self._pattern.sub(lambda found: self._labels[found[0]], content)

    def text(self, text: str) -> str:
        """The text with secrets masked."""
        return self.data(text.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")

    def stream(self) -> MaskStream:
        """A mask for bytes that arrive in pieces."""
        return MaskStream(self)

    def split(self, content: bytes) -> tuple[bytes, bytes]:
        """The masked beginning, and the end in which a value may have begun."""
        if not self._labels:
            return content, b""
        masked = []
        position = 0
        while True:
            held = self._held_from(content, position)
            found = self._pattern.search(content, position)
            if found is None or found.start() >= held:
                masked.append(content[position:held])
                return b"".join(masked), content[held:]
            masked += [content[position : found.start()], self._labels[found[0]]]
            position = found.end()

    def _held_from(self, content: bytes, position: int) -> int:
        """Where the first value may begin whose end is not there yet."""
        longest = len(self._longest_first[0])
        first = len(content)
        for value in self._longest_first:
            at = max(position, len(content) - longest + 1)
            while (at := content.find(value[:1], at, first)) >= 0:
                left = content[at:]
                if len(left) < len(value) and value.startswith(left):
                    first = at
                    break
                at += 1
        return first


class MaskStream:
    """Masks bytes that arrive in pieces, also a value that is split between two of them."""

    def __init__(self, mask: SecretMask) -> None:
        self._mask = mask
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What is safe to show after this chunk."""
        masked, self._held = self._mask.split(self._held + chunk)
        return masked

    def close(self) -> bytes:
        """The rest."""
        left, self._held = self._mask.data(self._held), b""
        return left

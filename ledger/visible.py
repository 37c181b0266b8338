"""Text as it may be shown: what would control, hide or reorder what people see stands as an escape."""

from __future__ import annotations

import unicodedata


def visible(text: str, *, kept: str = "") -> str:
    """The text with every control, format, surrogate and separator character as its escape.

    Spaces stay, and so do the characters in `kept`.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in kept else _shown(character)
        for character in text
    )


def _shown(character: str) -> str:
    if character.isascii():
        return f"\\x{ord(character):02x}"
    if unicodedata.category(character)[0] in "CZ" and character not in "\u00a0\u3000":
        return character.encode("unicode_escape").decode()
    return character

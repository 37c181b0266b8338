"""Escapes characters that could control a terminal, or hide or reorder the shown text."""

from __future__ import annotations

import unicodedata


def visible(text: str, *, kept: str = "") -> str:
    """The text with every control, format, surrogate and separator character escaped.

    Spaces and the characters in `kept` stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in kept else _escape(character)
        for character in text
    )


def _escape(character: str) -> str:
    if character.isascii():
        return f"\\x{ord(character):02x}"
    if unicodedata.category(character)[0] in "CZ" and character not in "\u00a0\u3000":
        return character.encode("unicode_escape").decode()
    return character

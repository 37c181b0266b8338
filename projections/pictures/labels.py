"""The texts in pictures: escaped, and cut to the available width.

SVG neither wraps nor cuts text, so the width is estimated from the widths of letters in
common sans-serif fonts, slightly too wide rather than too narrow.
"""

from __future__ import annotations

from unicodedata import combining, east_asian_width

from markupsafe import escape

from orc.ledger.wording import visible

_NARROW = frozenset("iljtfrI.,:;|!'()[]/ -")
_WIDE = frozenset("mwMW@%")


def escape_label(text: str) -> str:
    """The text, escaped for a picture, with control characters made visible."""
    return str(escape(visible(text)))


def text_width(text: str, size: float) -> float:
    """The estimated width of the text at a font size, both in pixels."""
    total = 0.0
    for character in text:
        if character in _NARROW:
            total += 0.39
        elif character in _WIDE:
            total += 1.06
        elif character.isascii():
            total += 0.76 if character.isupper() else 0.645
        else:
            total += 1.05 if east_asian_width(character) in "WFA" else 0.8
    return total * size


def clip(text: str, room: float, size: float) -> str:
    """The text, escaped and cut to `room` pixels.

    The middle is cut, because names often differ only at their ends.
    """
    shown = visible(text)
    if len(shown) * size * 0.36 > room * 4:
        # So long a text would be slow to measure letter by letter.
        cut = int(room / (size * 0.36))
        shown = f"{shown[:cut]}…{shown[-cut:]}"
    if text_width(shown, size) <= room:
        return str(escape(shown))
    low, high = 1, len(shown)
    while low < high:
        kept = (low + high + 1) // 2
        if text_width(_cut(shown, kept), size) <= room:
            low = kept
        else:
            high = kept - 1
    return str(escape(_cut(shown, low)))


def clip_cells(text: str, room: int) -> str:
    """The text in at most `room` cells of a terminal; the end of a longer text is cut."""
    if text.isascii():
        return text if len(text) <= room else f"{text[: room - 3]}..."
    used, fitting = 0, 0
    for index, character in enumerate(text):
        used += cells_of(character)
        if used <= room - 3:
            fitting = index + 1
        if used > room:
            return f"{text[:fitting]}..."
    return text


def cells_of(text: str) -> int:
    """The number of cells that the text takes in a terminal; East Asian letters take two."""
    if text.isascii():
        return len(text)
    return sum(
        0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text
    )


def _cut(text: str, kept: int) -> str:
    tail = kept // 3
    return f"{text[: kept - tail].rstrip()}…{text[len(text) - tail :] if tail else ''}"

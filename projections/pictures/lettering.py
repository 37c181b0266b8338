"""Text in pictures: made safe, and cut to the room that there is.

SVG does not wrap or cut text, so its width is estimated from the widths of letters in
common sans-serif fonts, a little on the wide side.
"""

from __future__ import annotations

from unicodedata import combining, east_asian_width

from markupsafe import escape

from orc.ledger.visible import visible

_NARROW = frozenset("iljtfrI.,:;|!'()[]/ -")
_WIDE = frozenset("mwMW@%")


def letters(text: str) -> str:
    """The text as it may stand in a picture: escaped, with what would control it shown."""
    return str(escape(visible(text)))


def text_width(text: str, size: float) -> float:
    """About how wide the text is at that font size, in pixels."""
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
    """The text, safe to show, in that many pixels: a long one loses its middle.

    Names often differ at their ends alone.
    """
    shown = visible(text)
    if len(shown) * size * 0.36 > room * 4:
        # Far too long to be measured letter by letter.
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
    """The text in that many cells of a terminal: a long one loses its end."""
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
    """How many cells of a terminal the text takes: East Asian letters take two."""
    if text.isascii():
        return len(text)
    return sum(
        0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text
    )


def _cut(text: str, kept: int) -> str:
    tail = kept // 3
    return f"{text[: kept - tail].rstrip()}…{text[len(text) - tail :] if tail else ''}"

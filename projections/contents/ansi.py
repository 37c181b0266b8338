"""What a command printed, as HTML lines: colours and styles of a terminal, and nothing else of it.

Only SGR sequences (`ESC [ ... m`) have an effect: spans with classes of our own. Other sequences of
the same form, which move a cursor or erase, are left out, and every other control character is shown
as an escape. No style hides text: there is no concealed text, and a background is a light tint.

The package ansi2html is not used: it is written to make links of OSC 8 sequences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from markupsafe import Markup

from orc.ledger.wording import visible

_SEQUENCE = re.compile(
    r"\x1b\[(?P<of>[0-9;:]{0,64})m|\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]|\x1b[()][0-9A-B]"
)
_STYLES = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike"}
_ENDS = {
    22: ("bold", "dim"),
    23: ("italic",),
    24: ("underline",),
    27: ("inverse",),
    29: ("strike",),
}
_LEVELS = (0, 95, 135, 175, 215, 255)
_COLOURS = 8


class _Style:
    """The style in force: a foreground and a background of 8 colours, and words."""

    def __init__(self) -> None:
        self.front: int | None = None
        self.back: int | None = None
        self.words: set[str] = set()

    def classes(self) -> str:
        found = [f"a-{word}" for word in sorted(self.words)]
        if self.front is not None:
            found.append(f"a-f{self.front}")
        if self.back is not None:
            found.append(f"a-b{self.back}")
        return " ".join(found)

    def apply(self, parameters: str) -> None:
        """Apply the parameters of one sequence; unknown ones do nothing."""
        numbers = [int(part) if part else 0 for part in re.split("[;:]", parameters)]
        while numbers:
            number = numbers.pop(0)
            if number == 0:
                self.front, self.back, self.words = None, None, set()
            elif number in _STYLES:
                self.words.add(_STYLES[number])
            elif number in _ENDS:
                self.words.difference_update(_ENDS[number])
            elif number in (38, 48):
                colour = _take_colour(numbers)
                if number == 38:
                    self.front = colour
                else:
                    self.back = colour
            elif 30 <= number <= 37 or 90 <= number <= 97:
                self.front = number % 10
            elif 40 <= number <= 47 or 100 <= number <= 107:
                self.back = number % 10
            elif number == 39:
                self.front = None
            elif number == 49:
                self.back = None


def ansi_html(text: str) -> Markup:
    """The text, whose lines are elements of the class `l`; everything in it is escaped."""
    style = _Style()
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    return Markup("\n").join(
        Markup('<span class="l">{}</span>').format(Markup("").join(_pieces(line, style)))
        for line in lines
    )


def _pieces(line: str, style: _Style) -> Iterator[Markup]:
    end = 0
    for found in _SEQUENCE.finditer(line):
        yield _piece(line[end : found.start()], style)
        end = found.end()
        if found["of"] is not None:
            style.apply(found["of"])
    yield _piece(line[end:], style)


def _piece(text: str, style: _Style) -> Markup:
    shown = visible(text, kept="\t")
    classes = style.classes()
    if not shown or not classes:
        return Markup("{}").format(shown)
    return Markup('<span class="{}">{}</span>').format(classes, shown)


def _take_colour(numbers: list[int]) -> int | None:
    """The nearest of the 8 colours to that of the parameters after 38 or 48, which are taken."""
    kind = numbers.pop(0) if numbers else 0
    if kind == 5 and numbers:
        return _of_palette(numbers.pop(0))
    if kind == 2 and len(numbers) >= 3:
        red, green, blue = numbers[:3]
        del numbers[:3]
        return _nearest(red, green, blue)
    numbers.clear()
    return None


def _of_palette(number: int) -> int | None:
    if number < 16:
        return number % _COLOURS
    if number < 232:
        cube = number - 16
        return _nearest(_LEVELS[cube // 36], _LEVELS[cube // 6 % 6], _LEVELS[cube % 6])
    grey = (min(number, 255) - 232) * 10 + 8
    return _nearest(grey, grey, grey)


def _nearest(red: int, green: int, blue: int) -> int:
    """The colour with a bit for each of red, green and blue that is strong in it."""
    least = max(64, max(red, green, blue) * 3 // 5)
    strong = [part > least for part in (red, green, blue)]
    if max(red, green, blue) - min(red, green, blue) < 32:
        strong = [red >= 128] * 3
    return sum(bit << place for place, bit in enumerate(strong))

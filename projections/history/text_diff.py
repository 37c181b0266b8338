"""Unified differences of two texts. Texts that would take too long to compare are not compared."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff

from msgspec import Struct

from orc.ledger.wording import count_text, number_text

COMPARED_LINES_MAX = 3000
"""The most lines between the first and the last difference, in each text."""

_CONTEXT = 3


class TextDiff(Struct, frozen=True):
    """The lines of a unified difference, without its two header lines.

    `added` and `removed` count lines. If the texts were too long to compare, `lines` is empty,
    `note` says so, and all lines between the first and the last difference are counted.
    """

    lines: tuple[str, ...]
    added: int
    removed: int
    note: str | None = None


def diff_texts(before: str, after: str) -> TextDiff | None:
    """The difference of two texts; None if they are equal."""
    if before == after:
        return None
    # Not `splitlines`: it also splits at other characters, and would hide differences in them.
    old, new = before.split("\n"), after.split("\n")
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    part_old, part_new = old[start : len(old) - end], new[start : len(new) - end]
    if max(len(part_old), len(part_new)) > COMPARED_LINES_MAX:
        note = (
            f"too long to compare: {count_text(len(part_old), 'line')} from line "
            f"{number_text(start + 1)} on became {number_text(len(part_new))}"
        )
        return TextDiff((), len(part_new), len(part_old), note)
    first = max(0, start - _CONTEXT)
    last = max(0, end - _CONTEXT)
    lines = tuple(_hunks(old[first : len(old) - last], new[first : len(new) - last], first))
    added = sum(line.startswith("+") for line in lines)
    return TextDiff(lines, added, sum(line.startswith("-") for line in lines))


def _common(old: list[str], new: list[str]) -> int:
    """The number of equal lines at the start."""
    for place, (one, other) in enumerate(zip(old, new, strict=False)):
        if one != other:
            return place
    return min(len(old), len(new))


def _hunks(old: list[str], new: list[str], first: int) -> Iterator[str]:
    for number, line in enumerate(unified_diff(old, new, lineterm="", n=_CONTEXT)):
        if number >= 2:
            yield _moved(line, first) if line.startswith("@@") else line


def _moved(head: str, first: int) -> str:
    """The header of a hunk with line numbers of the whole texts: `first` is added."""
    ranges = []
    for part in head.split(" ")[1:3]:
        start, _, length = part[1:].partition(",")
        ranges.append(f"{part[0]}{int(start) + first}{',' + length if length else ''}")
    return f"@@ {' '.join(ranges)} @@"

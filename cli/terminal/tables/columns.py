"""The columns of a table, and which of them fit in a terminal, how wide.

A column without a single value is not shown, and nothing is cut if the whole table fits. In a
narrower terminal texts are wrapped between words; if they then still have too little room, the
columns of least use are left out. An id is never cut: one that is wider than its column gets a line
of its own. This module draws nothing, so that a command without a terminal does not load `rich`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from orc.cli.terminal.paragraphs import cells

GAP = 2
"""The cells between two columns."""
WIDTH_LEAST = 40
"""A table is laid out for at least this many cells."""
_WORD_MAX = 30
_ROOM_LEAST = 12


class Holds(Enum):
    """What the cells of a column are."""

    TEXT = "text"
    ID = "id"
    NUMBER = "number"
    STATUS = "status"


class Column(NamedTuple):
    """A column: its title, what it holds, and when it is left out.

    Of the columns that may be left out, the one with the highest `drop` goes first; 0 always stays.
    """

    title: str
    holds: Holds = Holds.TEXT
    drop: int = 0


def id_column(title: str, *, drop: int = 0) -> Column:
    """Ids and paths, which a reader copies: never cut or broken."""
    return Column(title, Holds.ID, drop)


def number_column(title: str, *, drop: int = 0) -> Column:
    """Numbers, durations, amounts: at the right edge of the column, on one line."""
    return Column(title, Holds.NUMBER, drop)


def status_column(title: str = "STATUS") -> Column:
    """A status, which may have more words: in the colour of its first word."""
    return Column(title, Holds.STATUS)


def text_column(title: str, *, drop: int = 0) -> Column:
    """A text, which is wrapped between words if there is too little room."""
    return Column(title, Holds.TEXT, drop)


def columns_of(heads: Iterable[Column | str]) -> list[Column]:
    """The columns; a title alone is a column of texts."""
    return [Column(head) if isinstance(head, str) else head for head in heads]


class Fit(NamedTuple):
    """The columns that are shown, by their indexes, with their widths in cells, and the others."""

    shown: tuple[int, ...]
    widths: tuple[int, ...]
    left_out: tuple[int, ...] = ()


def fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int) -> Fit:
    """How the columns fit in `width` cells, but at least in WIDTH_LEAST."""
    room = max(WIDTH_LEAST, width)
    sizes = [
        _size(column, [row[index] for row in rows], room=room)
        for index, column in enumerate(columns)
    ]
    filled = [index for index in range(len(columns)) if not rows or any(row[index] for row in rows)]
    shown = filled.copy()
    while _taken([sizes[index].least for index in shown]) > room:
        last = max(shown, key=lambda index: (columns[index].drop, index))
        if not columns[last].drop:
            break
        shown.remove(last)
    left_out = tuple(index for index in filled if index not in shown)
    widths = _share([sizes[index] for index in shown], room)
    return Fit(tuple(shown), tuple(widths), left_out)


class _Size(NamedTuple):
    """The width of a column that is whole, and the least one with which it can be read."""

    whole: int
    least: int
    is_id: bool = False


def _size(column: Column, found: Sequence[str], *, room: int) -> _Size:
    title = cells(column.title)
    whole = max([title, *map(cells, found)])
    match column.holds:
        case Holds.NUMBER:
            return _Size(whole, whole)
        case Holds.ID:
            # Longer ids are on lines of their own.
            short = [size for size in map(cells, found) if size <= room // 3]
            return _Size(whole, max([title, *short]), is_id=True)
        case Holds.TEXT | Holds.STATUS:
            words = [_word_cells(word) for cell in found for word in cell.split()]
            least = max([title, *(min(word, _WORD_MAX) for word in words)])
            if column.holds is Holds.TEXT:
                least = max(least, _ROOM_LEAST)
            return _Size(whole, min(whole, least))


def _word_cells(word: str) -> int:
    """The cells of a word; a text in wide characters has no spaces, and may be broken anywhere."""
    return len(word) if word.isascii() else min(cells(word), _ROOM_LEAST)


def _taken(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _share(sizes: list[_Size], room: int) -> list[int]:
    """The widths: the room that is left goes evenly to the columns that lack some, to texts first."""
    widths = [size.least for size in sizes]
    if _taken(widths) > room:
        # Nothing can be left out: the widest column gets what the others leave.
        widest = max(range(len(widths)), key=widths.__getitem__)
        widths[widest] = max(_ROOM_LEAST, widths[widest] - (_taken(widths) - room))
        return widths
    left = room - _taken(widths)
    while left > 0:
        lacking = [index for index, size in enumerate(sizes) if widths[index] < size.whole]
        lacking = [index for index in lacking if not sizes[index].is_id] or lacking
        if not lacking:
            break
        share = max(1, left // len(lacking))
        for index in lacking:
            given = min(share, sizes[index].whole - widths[index], left)
            widths[index] += given
            left -= given
    return widths

"""Lays out the rows of the live table. In a narrow terminal, names and notes are cut, not numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from msgspec import Struct
from rich.cells import cell_len, set_cell_size
from rich.table import Table
from rich.text import Text

from orc.cli.terminal.tables.statuses import style_of

_GAP = 2
_NAME_LEAST = 12
_NOTE_LEAST = 8
_NARROW = 72


class LiveRow(Struct, frozen=True):
    """The cells of a step, all safe to print. A long note that `grows` is cut at its start."""

    step: str
    status: str
    attempt: str = ""
    time: str = ""
    tokens: str = ""
    cost: str = ""
    note: str = ""
    grows: bool = False


def choose(statuses: Mapping[str, str], recent: Sequence[str], *, room: int) -> set[str]:
    """At most `room` steps: those that run, then those that wait, then the last of `recent`."""
    if len(statuses) <= room:
        return set(statuses)
    busy = [
        [step for step, status in statuses.items() if status == wanted]
        for wanted in ("running", "waiting")
    ]
    return set(islice(dict.fromkeys((*busy[0], *busy[1], *reversed(recent))), room))


def lay_out(rows: Sequence[LiveRow], *, width: int) -> Table:
    """The table in `width` cells, but at least 40; below 72 cells it has no tokens and costs."""
    columns = [
        ("state", [f"{row.status} {row.attempt}".rstrip() for row in rows]),
        ("time", [row.time for row in rows]),
    ]
    if width >= _NARROW:
        numbers = (("tokens", [row.tokens for row in rows]), ("cost", [row.cost for row in rows]))
        columns += [(header, cells) for header, cells in numbers if any(cells)]
    widths = [max(map(cell_len, (header, *cells))) for header, cells in columns]
    left = max(40, width) - sum(taken + _GAP for taken in widths) - _GAP
    longest = max(map(cell_len, ("step", *(row.step for row in rows))))
    name = min(longest, max(_NAME_LEAST, left // 2))
    note = left - name

    table = Table(
        box=None, padding=(0, _GAP, 0, 0), header_style="dim", show_edge=False, pad_edge=False
    )
    table.add_column("step", no_wrap=True, width=name)
    for (header, _), taken in zip(columns, widths, strict=True):
        table.add_column(header, no_wrap=True, width=taken)
    if note >= _NOTE_LEAST:
        table.add_column("", no_wrap=True)
    for number, row in enumerate(rows):
        cells = [Text(cut(row.step, name))]
        cells += [Text(of[number], justify="right") for _, of in columns]
        cells[1] = Text(columns[0][1][number], style=style_of(row.status))
        if note >= _NOTE_LEAST:
            shown = cut_start(row.note, note) if row.grows else cut(row.note, note)
            cells.append(Text(shown, style="dim"))
        table.add_row(*cells)
    return table


def cut(text: str, room: int) -> str:
    """The text, cut at its end to `room` cells."""
    if cell_len(text) <= room:
        return text
    return f"{set_cell_size(text, room - 1).rstrip()}…"


def cut_start(text: str, room: int) -> str:
    """The text, cut at its start to `room` cells."""
    text = text[-room:]
    while cell_len(text) > room:
        text = text[1:]
    return text

"""Draws a table for a terminal with `rich`. Texts are no markup: they are safe before they come here."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from orc.cli.terminal.paragraphs import cells
from orc.cli.terminal.tables.columns import GAP, WIDTH_LEAST, Column, Fit, Holds, fit
from orc.cli.terminal.tables.statuses import style_of
from orc.cli.terminal.text import is_plain_terminal, terminal_width


def drawn(shown: RenderableType, *, width: int | None = None, stream: TextIO | None = None) -> str:
    """The text of a renderable, with codes for colours if the stream is a terminal that has them.

    The stream is by default stdout.
    """
    stream = stream or sys.stdout
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=terminal_width(stream) if width is None else width,
        force_terminal=stream.isatty(),
        highlight=False,
        emoji=False,
        markup=False,
    )
    console.print(shown, crop=False)
    # Rich fills lines with spaces up to the width.
    return "".join(f"{line.rstrip()}\n" for line in buffer.getvalue().split("\n")[:-1])


def draw_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int) -> str:
    """The table in `width` cells, without a line end. Cells are safe and masked."""
    fitted = fit(columns, rows, width=width)
    shown = [columns[index] for index in fitted.shown]
    grid = _grid(shown, fitted)
    parts: list[RenderableType] = [grid]
    grid.add_row(*(Text(column.title, style="bold") for column in shown))
    for row in rows:
        kept = [row[index] for index in fitted.shown]
        for place, column in enumerate(shown):
            if column.holds is Holds.ID and cells(kept[place]) > fitted.widths[place]:
                # The id, which its column has no room for, is above the other cells of the row.
                grid = _grid(shown, fitted)
                parts += [Text(kept[place], no_wrap=True, overflow="ignore"), grid]
                kept[place] = ""
        grid.add_row(*map(_styled, kept, shown, fitted.widths))
    if fitted.left_out:
        names = ", ".join(columns[index].title for index in fitted.left_out)
        parts.append(Text(f"no room for {names}; --json has all", style="dim"))
    return drawn(Group(*parts), width=max(WIDTH_LEAST, width)).rstrip("\n")


def _grid(columns: Sequence[Column], fitted: Fit) -> Table:
    table = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    for column, width in zip(columns, fitted.widths, strict=True):
        is_text = column.holds in (Holds.TEXT, Holds.STATUS)
        table.add_column(
            width=width,
            justify="right" if column.holds is Holds.NUMBER else "left",
            no_wrap=not is_text,
            overflow="fold" if is_text else "crop",
        )
    return table


def _styled(cell: str, column: Column, width: int) -> Text:
    if column.holds in (Holds.NUMBER, Holds.ID):
        return Text(cell)
    fitting = " ".join(_word(word, width) for word in cell.split(" "))
    return Text(fitting, style=style_of(cell) if column.holds is Holds.STATUS else "")


def _word(word: str, width: int) -> str:
    """The word, cut if it alone is wider than its column; wide characters may be broken anywhere."""
    if not word.isascii() or len(word) <= width:
        return word
    end = "..." if is_plain_terminal() else "\N{HORIZONTAL ELLIPSIS}"
    return word[: width - len(end)] + end

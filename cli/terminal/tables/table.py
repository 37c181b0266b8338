"""A table on stdout: fitted to a terminal and in colour, else whole and plain, for pipes and files."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from orc.cli.output_mask import mask_output
from orc.cli.terminal.paragraphs import cells
from orc.cli.terminal.tables.columns import GAP, Column, Holds, columns_of
from orc.cli.terminal.text import put, put_piece, safe, terminal_width

CELL_CHARS_MAX = 80
"""A longer cell of a table is cut."""


Heads = Iterable[Column | str]


def put_table(heads: Heads, rows: Iterable[Sequence[object]]) -> None:
    """Print the table on stdout. Raises ReaderGone."""
    shown = table(heads, rows)
    if sys.stdout.isatty():
        put_piece(f"{shown}\n")
    else:
        put(shown)


def table(heads: Heads, rows: Iterable[Sequence[object]]) -> str:
    """The table without a line end. Cells are made safe and cut to 80 characters; None is empty.

    If stdout is a terminal, the text has codes for colours, and is masked already.
    """
    columns = columns_of(heads)
    shown = [[_cell(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        # Imported here, since rich loads slowly, and only a terminal needs it.
        from orc.cli.terminal.tables.drawing import draw_table

        return draw_table(columns, shown, width=terminal_width())
    return _plain(columns, shown)


def is_cut(cell: object) -> bool:
    """Whether a table cuts the cell, or was given only the first line of a text."""
    text = safe(cell)
    return len(text) > CELL_CHARS_MAX or text.endswith(" ...")


def _cell(cell: object) -> str:
    return "" if cell is None else safe(mask_output(str(cell)), width=CELL_CHARS_MAX)


def _plain(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    lines = [[column.title for column in columns], *rows]
    widths = [max(cells(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join(
        (" " * GAP).join(map(_padded, line, widths, columns)).rstrip() for line in lines
    )


def _padded(cell: str, width: int, column: Column) -> str:
    space = " " * (width - cells(cell))
    return space + cell if column.holds is Holds.NUMBER else cell + space

"""The contents of files as text on a terminal: tables, Markdown and JSON as such, by rich.

Everything is made safe before rich gets it, and rich makes no links.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from orc.cli.output_mask import mask_output
from orc.cli.terminal.tables.columns import text_column
from orc.cli.terminal.tables.table import table
from orc.cli.terminal.text import safe, safe_lines
from orc.ledger.wording import count_text, number_text
from orc.projections.contents.form import Form, read_form
from orc.projections.contents.grid import NotATable, read_grid
from orc.projections.contents.json_text import indented

if TYPE_CHECKING:
    from rich.console import RenderableType

ROWS_MAX = 50
CHARS_MAX = 20_000


def file_text(path: str, content: bytes) -> str:
    """The beginning of a file, with its form where that can be printed; ends with a line feed."""
    seen = read_form(path, content)
    if seen.text is None:
        return f"({seen.form.value}, {count_text(len(content), 'byte')})\n"
    text, cut = seen.text[:CHARS_MAX], ""
    if len(seen.text) > CHARS_MAX:
        cut = f"(cut: the file has {number_text(len(seen.text))} characters)\n"
    match seen.form:
        case Form.TABLE:
            return _table(seen.text, is_lines=seen.is_lines)
        case Form.MARKDOWN:
            return markdown_text(text) + cut
        case Form.JSON:
            return json_text(indented(seen.text) or seen.text)
        case _:
            return plain_text(text) + cut


def plain_text(text: str) -> str:
    """A text as it is, safe and with a line feed at its end."""
    shown = safe_lines(mask_output(text))
    return shown if not shown or shown.endswith("\n") else f"{shown}\n"


def markdown_text(text: str, *, stream: TextIO | None = None) -> str:
    """Markdown as rich prints it on the stream, by default stdout."""
    from rich.markdown import Markdown

    shown = Markdown(safe_lines(mask_output(text)), hyperlinks=False, code_theme="ansi_dark")
    return _rich(shown, stream)


def json_text(text: str) -> str:
    """JSON text, coloured on a terminal."""
    from rich.syntax import Syntax

    shown = plain_text(text[:CHARS_MAX])
    if len(text) > CHARS_MAX:
        shown += f"(cut: it has {number_text(len(text))} characters)\n"
    if not sys.stdout.isatty():
        return shown
    return _rich(
        Syntax(
            shown.rstrip("\n"),
            "json",
            theme="ansi_dark",
            background_color="default",
            word_wrap=True,
        )
    )


def _table(text: str, *, is_lines: bool) -> str:
    try:
        grid = read_grid(text, is_lines=is_lines, count=ROWS_MAX)
    except NotATable as problem:
        return f"(not shown as a table: {safe(problem)})\n{plain_text(text[:CHARS_MAX])}"
    heads = [text_column(safe(name), drop=place) for place, name in enumerate(grid.columns)]
    lines = table(heads, grid.rows)
    left = grid.rows_total - len(grid.rows)
    more = f"({count_text(left, 'more row')})\n" if left > 0 else ""
    return f"{lines}\n{more}"


def _rich(shown: RenderableType, stream: TextIO | None = None) -> str:
    from orc.cli.terminal.tables.drawing import drawn

    return drawn(shown, stream=stream)

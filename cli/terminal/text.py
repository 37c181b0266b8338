"""Text for terminals: nothing that a model, a command or a server wrote gets through raw."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from orc.cli.errors import ReaderGone
from orc.cli.hidden import hidden as hidden
from orc.cli.hidden import hide, hides_anything
from orc.ledger.masking import Mask
from orc.ledger.visible import visible


def hide_keys(environment: Mapping[str, str]) -> None:
    """Hide the keys of providers on the terminal, unless a job's secrets are hidden already."""
    if not hides_anything():
        from orc.providers.registry import read_keys

        hide(Mask(read_keys(environment)))


def safe(text: object, *, width: int | None = None) -> str:
    """The text on one line with every control, format and surrogate character shown as its escape.

    With `width`, cut to that many characters.
    """
    shown = visible(str(text))
    if width is not None and len(shown) > width:
        return shown[: max(0, width - 3)] + "..."
    return shown


def safe_lines(text: str) -> str:
    """The text made safe, but for its line feeds and tabs. Safe text stays as it is."""
    return visible(text, kept="\n\t")


def say(message: str = "", *, quiet: bool = False) -> None:
    """A line of talk, on stderr, made safe. It is lost where nobody can hear it.

    What comes from elsewhere the caller puts through `safe` besides, so that it stays on its line.
    """
    if quiet:
        return
    try:
        print(safe_lines(hidden(message)), file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)


def put(line: str = "", *, flush: bool = False) -> None:
    """A line of data, on stdout, made safe as in `say`. Raises ReaderGone."""
    try:
        print(safe_lines(hidden(line)), flush=flush)
    except BrokenPipeError:
        _silence(sys.stdout)
        raise ReaderGone from None


def put_piece(text: str) -> None:
    """A piece of data, at once and without a line's end. Raises ReaderGone."""
    try:
        sys.stdout.write(hidden(text))
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
        raise ReaderGone from None


def put_json(value: Any) -> None:
    """A JSON value as one line of data, in ASCII, at once. Raises ReaderGone."""
    put(json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f"), flush=True)


def terminal_width() -> int:
    """How many cells a line on stdout may have: those of the terminal, or 120 where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 120


def is_plain_terminal() -> bool:
    """Whether stdout cannot print the characters that lines and marks are drawn with."""
    try:
        "│╰●✓▶↺".encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return True
    return False


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A plain table with aligned columns."""
    cells = [[safe(cell, width=80) for cell in row] for row in rows]
    widths = [
        max([len(header), *(len(row[index]) for row in cells)])
        for index, header in enumerate(headers)
    ]
    lines = [list(headers), *cells]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _silence(stream: TextIO) -> None:
    """Lead the stream nowhere, so that what is still in its buffer raises no second error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

"""Prints text on a terminal. Every text is masked, and control characters become visible escapes.

Texts that a model, a command or a server wrote could otherwise control the terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from orc.cli.errors import OutputLost, ReaderGone
from orc.cli.output_mask import mask_output, widen_output_mask
from orc.ledger.scarcity import describe_system_error
from orc.ledger.secrets.masking import Mask
from orc.ledger.wording import visible


def hide_keys(environment: Mapping[str, str]) -> None:
    """Hide the keys of providers in all later output."""
    from orc.providers.keys import read_keys

    widen_output_mask(Mask(read_keys(environment)))


def safe(text: object, *, width: int | None = None) -> str:
    """The text on one line with every control, format and surrogate character shown as its escape.

    With `width`, cut to that many characters. A text that is cut is masked first: no mask would hide
    the beginning of a secret without its end.
    """
    shown = visible(str(text))
    if width is None or len(shown) <= width:
        return shown
    shown = visible(mask_output(str(text)))
    return shown if len(shown) <= width else shown[: max(0, width - 3)] + "..."


def safe_lines(text: str) -> str:
    """The text with escapes as in `safe`, but with its line feeds and tabs. Safe text is unchanged."""
    return visible(text, kept="\n\t")


def say(message: str = "", *, quiet: bool = False) -> None:
    """Print a message on stderr, made safe. It is dropped if stderr cannot be written.

    The caller applies `safe` to texts from outside, so that they cannot add lines.
    """
    if quiet:
        return
    try:
        print(safe_lines(mask_output(message)), file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)


def say_drawn(text: str) -> None:
    """Print on stderr what `rich` has drawn from safe texts, masked only; dropped as by `say`."""
    try:
        sys.stderr.write(mask_output(text))
        sys.stderr.flush()
    except OSError:
        _silence(sys.stderr)


def put(line: str = "", *, flush: bool = False) -> None:
    """Print a line of data on stdout, made safe as in `say`. Raises ReaderGone and OutputLost."""
    with output_errors():
        print(safe_lines(mask_output(line)), flush=flush)


def put_piece(text: str) -> None:
    """Print data on stdout without a line end, and flush. It is masked only. Raises as `put`."""
    with output_errors():
        sys.stdout.write(mask_output(text))
        sys.stdout.flush()


def put_json(value: Any) -> None:
    """Print a JSON value as one line of ASCII on stdout, and flush. Raises as `put`."""
    # Imported here, since it loads slowly, and most output is for people.
    import json

    put(json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f"), flush=True)


@contextmanager
def output_errors() -> Iterator[None]:
    """Raise ReaderGone or OutputLost in place of an error of stdout, and drop further output."""
    try:
        yield
    except BrokenPipeError:
        _silence(sys.stdout)
        raise ReaderGone from None
    except OSError as error:
        _silence(sys.stdout)
        raise OutputLost(f"stdout: {describe_system_error(error)}") from error


def terminal_width(stream: TextIO | None = None) -> int:
    """The width of the stream in cells, by default stdout; 120 if it is not a terminal."""
    # Imported here, since it loads compression, and most output is for no terminal.
    import shutil

    return shutil.get_terminal_size().columns if (stream or sys.stdout).isatty() else 120


def is_plain_terminal() -> bool:
    """Whether the encoding of stdout lacks the characters for lines and marks of graphs."""
    try:
        "│╰●✓▶↺".encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return True
    return False


def _silence(stream: TextIO) -> None:
    """Redirect the stream to /dev/null, so that flushing its buffer raises no second error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

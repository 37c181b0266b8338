"""Prints what a reader of a ledger warns of, as a message of orc and not as one of Python."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from orc.cli.terminal.text import safe, say
from orc.ledger.errors import UnseenLog


@contextmanager
def reader_warnings_printed() -> Iterator[None]:
    """In the block, say what a reader of a ledger warns of, once; a shell's completion says nothing."""
    said: set[str] = set()
    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=UnseenLog)
        show_other = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if not issubclass(category, UnseenLog):
                show_other(message, category, filename, lineno, file, line)
            elif str(message) not in said and "_ORC_COMPLETE" not in os.environ:
                said.add(str(message))
                say(f"orc: {safe(message)}")

        warnings.showwarning = show
        yield

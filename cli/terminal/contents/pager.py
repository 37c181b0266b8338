"""Shows a long text through a pager, as git does: `$ORC_PAGER`, else `$PAGER`, else `less`."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys

from orc.cli.output_mask import mask_output
from orc.cli.terminal.text import put_piece

_DEFAULTS = {"LESS": "FRX", "LV": "-c"}
"""What git gives to `less`: end if the text fits, keep colours, leave the screen as it is."""


def put_paged(text: str, *, use_pager: bool) -> None:
    """Print a text that was made safe, through the pager if it does not fit on the terminal.

    A pager that does not exist, or is empty or `cat`, is not used. Raises ReaderGone.
    """
    command = _pager() if use_pager and sys.stdout.isatty() and _is_long(text) else []
    if not command or not _page(command, mask_output(text)):
        put_piece(text)


def _pager() -> list[str]:
    named = os.environ.get("ORC_PAGER", os.environ.get("PAGER", "less"))
    try:
        words = shlex.split(named)
    except ValueError:
        return []
    if not words or words == ["cat"] or shutil.which(words[0]) is None:
        return []
    return words


def _is_long(text: str) -> bool:
    size = shutil.get_terminal_size()
    lines = 0
    for line in text.splitlines():
        lines += 1 + max(0, len(line) - 1) // max(1, size.columns)
        if lines >= size.lines:
            return True
    return False


def _page(command: list[str], text: str) -> bool:
    """Whether the pager took the text; that it is closed early is no error."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env={**_DEFAULTS, **os.environ})
    except OSError:
        return False
    assert process.stdin is not None
    try:
        process.stdin.write(text.encode("utf-8", "replace"))
        process.stdin.close()
    except OSError:
        # The person closed the pager before its end.
        pass
    while True:
        try:
            process.wait()
            return True
        except KeyboardInterrupt:
            # Ctrl-C in a pager is a command of the pager.
            continue

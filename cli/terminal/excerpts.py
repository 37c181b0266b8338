"""Shortens long texts for the terminal: prompts, replies, commands."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from orc.cli.output_mask import mask_output
from orc.cli.terminal.text import safe_lines
from orc.ledger.wording import count_text

LINES = 6
_MARGIN = "    | "


def excerpt(
    text: str, *, is_full: bool, lines: int = LINES, margin: str = _MARGIN
) -> Iterator[str]:
    """The lines of a text, masked and made safe, with a margin.

    Unless `is_full`, only the first, cut in width.
    """
    width = max(20, min(120, shutil.get_terminal_size().columns) - len(margin))
    # Not `splitlines`, which splits at more characters; those are shown as their escapes.
    found = safe_lines(mask_output(text)).expandtabs(4).rstrip("\n").split("\n")
    shown = found if is_full else found[:lines]
    has_long = False
    for line in shown:
        is_long = len(line) > width and not is_full
        has_long |= is_long
        yield f"{margin}{line[: width - 3]}..." if is_long else f"{margin}{line}".rstrip()
    if len(found) > len(shown):
        yield f"{margin}({count_text(len(found) - len(shown), 'more line')}: --full)"
    elif has_long:
        yield f"{margin}(lines that end in ... are cut: --full)"

"""`orc --help`, from the table of commands: the same text as typer's, without the time to load typer."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from textwrap import wrap

from orc.cli.command_table import ABOUT, COMMANDS, GROUPS, OPTIONS

_WIDTH_MAX, _WIDTH_LEAST = 80, 50
_GAP = 2


def root_help() -> str:
    """The text for a terminal of the present width."""
    width = max(min(shutil.get_terminal_size().columns, _WIDTH_MAX) - 2, _WIDTH_LEAST)
    lines = ["Usage: orc [OPTIONS] COMMAND [ARGS]...", ""]
    lines += wrap(ABOUT, width, initial_indent="  ", subsequent_indent="  ")
    lines += ["", "Options:", *_rows(OPTIONS, width), ""]
    name_chars = max(map(len, COMMANDS))
    for purpose, group in GROUPS.items():
        rows = [(name, COMMANDS[name]) for name in group.first]
        rows.append(("also".ljust(name_chars), ", ".join(group.others)))
        lines += [f"{purpose}:", *_rows(rows, width)]
    return "\n".join([*lines, "", "`orc COMMAND -h` explains a command."])


def _rows(rows: Iterable[tuple[str, str]], width: int) -> Iterator[str]:
    """The rows of a list of names and their meanings, which are wrapped beside the names."""
    rows = list(rows)
    first_chars = max(len(name) for name, _ in rows) + _GAP
    for name, meaning in rows:
        first, *rest = wrap(meaning, max(width - first_chars - 2, 10))
        yield f"  {name.ljust(first_chars)}{first}"
        yield from (f"  {'':{first_chars}}{line}" for line in rest)

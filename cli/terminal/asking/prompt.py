"""Shows a question of a step in full, and reads the person's choice.

The message is Markdown that a model may have written: it is masked and made safe before `rich` lays
it out, and has no links. What was typed before the question was shown is dropped, so that nobody
decides what they have not seen.
"""

from __future__ import annotations

import os
import sys
import termios
from collections.abc import Sequence
from contextlib import suppress

import trio
from msgspec import Struct

from orc.cli.errors import UsageProblem
from orc.cli.terminal.contents.file_text import markdown_text
from orc.cli.terminal.text import safe, say, say_drawn
from orc.ledger.wording import count_text, size_text
from orc.projections.tables.questions import Question
from orc.projections.tables.rows import FileRow

TRIES_MAX = 20
FILES_MAX = 10
_LINE_BYTES_MAX = 4096


class Answer(Struct, frozen=True):
    """The option that the person chose, and a comment."""

    option: str
    comment: str | None


def require_terminal() -> None:
    """Raise UsageProblem unless a person can be asked: stdin and stderr are a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageProblem(
            "--interactive asks on a terminal, and stdin or stderr is not one; leave it out: the job "
            "then waits, and says how to decide"
        )


async def ask(question: Question, files: Sequence[FileRow], folder: str) -> Answer | None:
    """Show the question and read the answer; None if the person leaves it open (Ctrl-D).

    `files` are those that the question is about, below the folder.
    """
    say(f"\n{safe(question.step)} asks:\n")
    say_drawn(markdown_text(question.message, stream=sys.stderr))
    _say_files(files, folder)
    say()
    for number, option in enumerate(question.options, start=1):
        say(f"  {number}  {safe(option)}")
    with suppress(termios.error):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
    for _ in range(TRIES_MAX):
        typed = await _read(f"{safe(question.step)}: number or name (Ctrl-D leaves it open): ")
        if typed is None:
            return None
        chosen = _chosen(typed, question.options)
        if chosen is None:
            say(
                f"there is no option {safe(typed)!r}; type a number from 1 to {len(question.options)}"
            )
            continue
        comment = await _read("comment (Enter for none): ")
        return None if comment is None else Answer(chosen, comment or None)
    return None


def _say_files(files: Sequence[FileRow], folder: str) -> None:
    if not files:
        return
    say(f"\nabout the files in {safe(folder)}:")
    for file in files[:FILES_MAX]:
        say(f"  {safe(file.path)}  {size_text(file.size_bytes)}")
    if len(files) > FILES_MAX:
        say(f"  and {count_text(len(files) - FILES_MAX, 'more file')}")


def _chosen(typed: str, options: Sequence[str]) -> str | None:
    """The option with this name or number; None for no option. A name comes before a number."""
    if typed in options:
        return typed
    if typed.isascii() and typed.isdecimal() and 1 <= int(typed) <= len(options):
        return options[int(typed) - 1]
    return next((option for option in options if option.casefold() == typed.casefold()), None)


async def _read(prompt: str) -> str | None:
    """A typed line without spaces around it; None at the end of the input. It can be cancelled."""
    sys.stderr.write(prompt)
    sys.stderr.flush()
    descriptor = sys.stdin.fileno()
    await trio.lowlevel.wait_readable(descriptor)
    line = os.read(descriptor, _LINE_BYTES_MAX)
    if not line:
        say()
        return None
    return line.decode("utf-8", "replace").strip()

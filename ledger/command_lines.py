"""The commands of orc that messages name. Each can be typed as it is printed.

A message is made far from the command line: the words are quoted here, and `--db` is added if the
command would otherwise find another ledger. `ledger_named` says which ledger is in use.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from orc.ledger.files.way import ledger_path
from orc.ledger.wording import visible

WITHOUT_LEDGER = ("init", "schema", "validate", "chaos")
"""The commands that have no option `--db`."""

_QUOTED = r"`(orc [^`\n]+)`"
_TO_COMPLETE = r"(?:^|[=.])[A-Z][A-Z_]+(?![a-z0-9])"
"""In a word that stands for something: STEP, inputs.NAME=VALUE."""
_SAYS_WHAT = r"\b(name|write|use|give|try|free|run a spec)\b"
_NOT_NEXT = ("cancel", "prune", "redact")

_named: ContextVar[Path | None] = ContextVar("ledger of the commands in messages", default=None)


@contextmanager
def ledger_named(path: Path | None) -> Iterator[None]:
    """In this block, commands are for this ledger: as the caller named it, None for the default."""
    token = _named.set(path)
    try:
        yield
    finally:
        _named.reset(token)


def command_line(*words: object) -> str:
    """A command of orc for a shell, such as `orc show job_1 --db other.db`.

    The words are the command's name and its arguments. A word in capitals, such as SPEC, stands for
    what only the reader knows.
    """
    texts = [quoted(word) for word in words]
    return " ".join(["orc", *texts, *(_ledger_option() if words[0] not in WITHOUT_LEDGER else ())])


def decision_commands(
    job_id: str, step: str, options: Sequence[str], *, then: str = ""
) -> list[str]:
    """The command for each option of a step that waits for human review, in the order of options.

    `then` is the command with which the job goes on after the decision; empty if it goes on by itself.
    Where it is just `orc resume`, each of the commands does that too.
    """
    also = ["--resume"] if is_in_decision(then, job_id) else []
    return [command_line(*_decision(job_id, step, option), *also) for option in options]


def is_in_decision(then: str, job_id: str) -> bool:
    """Whether `orc approve --resume` does what this command does."""
    return then == command_line("resume", job_id)


def _decision(job_id: str, step: str, option: str) -> tuple[str, ...]:
    if option in ("approve", "reject"):
        return option, job_id, step
    return "approve", job_id, step, "--option", option


def next_command(message: str) -> str:
    """The one command that a message tells to give; empty if there is none.

    There is none if the message names several, if one must be completed, or if one would end or remove
    something: a person decides about that.
    """
    found = set(re.findall(_QUOTED, message))
    if len(found) != 1:
        return ""
    (command,) = found
    name, *others = command.split()[1:] or [""]
    return (
        ""
        if name in _NOT_NEXT or any(re.search(_TO_COMPLETE, word) for word in others)
        else command
    )


def with_advice(message: str, advice: str) -> str:
    """The message, with what to do if it does not say that after a semicolon or by a command."""
    if not advice or ";" in message or "`" in message or re.search(_SAYS_WHAT, message):
        return message
    return f"{message}; {advice}"


def quoted(word: object) -> str:
    """A word of a command, quoted for a shell; control characters are shown as escapes."""
    # Imported here, since most commands print no other command.
    from shlex import quote

    return quote(visible(str(word)))


def quoted_command(*words: object) -> str:
    """The command in backquotes, for a sentence."""
    return f"`{command_line(*words)}`"


def _ledger_option() -> tuple[str, ...]:
    path = _named.get()
    if path is None or _is_default(path):
        return ()
    return ("--db", quoted(path))


def _is_default(path: Path) -> bool:
    try:
        return ledger_path(path, {}) == ledger_path(None, os.environ)
    except FileNotFoundError:
        # The current folder was removed, in which the default would be.
        return False

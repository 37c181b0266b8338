"""What the checks of commands share: what a command depends on, and the errors."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.shell_words import (
    BY_VARIABLE,
    NO_INPUT,
    Hole,
    Input,
    Word,
    refuse,
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a command depends on beside its words.

    `read_shell` checks shell text. `written` are files in which a value may be, `tainted` the
    variables in which one may be, and `texts` the contents of files that the text itself writes.
    """

    read_shell: Callable[[str, Input], None]
    stdin: Input = NO_INPUT
    written: tuple[Word, ...] = ()
    tainted: frozenset[str] = frozenset()
    texts: Mapping[str, str] = field(default_factory=dict)


def check_file(word: Word, around: Surroundings) -> None:
    """Refuse to run a file in which a value may have been written."""
    is_open_file = str(word).startswith(("/dev/fd/", "/proc/"))
    if is_open_file or any(may_be_same(word, other) for other in around.written):
        raise refuse(
            Hole(str(word), True),
            "this file is run, and the same text writes values into it, or may do so",
            f"let the file read the value from its arguments, {BY_VARIABLE}",
        )


def may_be_same(word: Word, other: Word) -> bool:
    """Whether two words may name one file, in whatever folders."""
    if word.holes and isinstance(word.parts[0], Hole) and "ORC_SPEC_DIR" in word.parts[0].shown:
        return False
    if other.value:
        # The value may have any folder in it, and any name before the text after it.
        return str(word).endswith(other.suffix)
    return posixpath.basename(str(word)) == posixpath.basename(str(other))


def as_code(hole: Hole, name: str, instead: str) -> TemplateError:
    """The error for a value that a program would read as code."""
    return refuse(hole, f"{name} would read the value as code", f"{instead}, {BY_VARIABLE}")


def option_problem(hole: Hole, name: str) -> TemplateError:
    """The error for a value that a program could read as an option that runs commands."""
    return refuse(
        hole,
        f"{name} would read a value that begins with a hyphen as an option, and has options that "
        "run commands",
        "write `--` or a text such as ./ before it",
    )

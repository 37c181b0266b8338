"""What the checks of commands share: what a command depends on, and the errors."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct, field

from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.shell.shell_words import (
    BY_VARIABLE,
    NO_INPUT,
    Hole,
    Input,
    Word,
    refuse,
)
from orc.scheduler.core.shell.written_files import WrittenFiles


class Surroundings(Struct, frozen=True):
    """What a command depends on beside its words.

    `read_shell` checks shell text. `written` are files in which a value may be, and `tainted`
    variables in which one may be. `sets_path` is whether the text says where programs are found.
    """

    read_shell: Callable[[str, Input], None]
    stdin: Input = NO_INPUT
    written: WrittenFiles = field(default_factory=WrittenFiles)
    tainted: frozenset[str] = frozenset()
    sets_path: bool = False


def check_file(word: Word, around: Surroundings, *, by_name: bool = False) -> None:
    """Refuse to run a file in which a value may have been written."""
    is_open_file = str(word).startswith(("/dev/fd/", "/proc/")) and not by_name
    if is_open_file or around.written.may_have(word, by_name=by_name):
        raise refuse(
            Hole(str(word), True),
            "this file is run, and the same text writes values into it, or may do so",
            f"let the file read the value from its arguments, or {BY_VARIABLE}",
        )


def check_named_file(name: str, around: Surroundings) -> None:
    """Refuse to run a file of this name that the text writes under the same name."""
    check_file(Word((name,)), around, by_name=True)


def as_code(hole: Hole, name: str, instead: str) -> TemplateError:
    """The error for a value that a program would read as code."""
    return refuse(hole, f"{name} would read the value as code", f"{instead}, or {BY_VARIABLE}")


def option_problem(hole: Hole, name: str) -> TemplateError:
    """The error for a value that a program could read as an option that runs commands."""
    return refuse(
        hole,
        f"{name} would read a value that begins with a hyphen as an option, and has options that "
        "run commands",
        "write `--` or a text such as ./ before it",
    )

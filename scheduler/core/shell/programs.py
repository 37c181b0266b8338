"""Whether the value of a template is a word of a command, or would be read again as code.

The facts about programs are in `table_of_commands.py`, `table_of_languages.py` and
`table_of_wrappers.py`. Shell text inside a word is left to the caller, who reads it with
`shell_values.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from orc.scheduler.core.shell.code_readers import STDIN_FILES, check_reader
from orc.scheduler.core.shell.inner_commands import (
    commands_of_find,
    commands_of_host,
    name_of,
    unwrap,
)
from orc.scheduler.core.shell.program_options import first_parts, parts_of
from orc.scheduler.core.shell.program_rules import (
    Surroundings,
    as_code,
    check_file,
    check_named_file,
    option_problem,
)
from orc.scheduler.core.shell.program_table import Launcher
from orc.scheduler.core.shell.shell_builtins import check_assignment, check_names, check_test
from orc.scheduler.core.shell.shell_words import (
    BY_VARIABLE,
    NO_INPUT,
    Hole,
    Word,
    refuse,
)
from orc.scheduler.core.shell.table_of_commands import (
    GIT_ARGUMENTS,
    GIT_COMMANDS,
    GIT_OPTIONS,
    GIT_SETTINGS,
    LAUNCHERS,
    SHELL_TEXTS,
)
from orc.scheduler.core.shell.table_of_files import READ_BY, RUNNING
from orc.scheduler.core.shell.table_of_languages import reader_of
from orc.scheduler.core.shell.table_of_wrappers import (
    FINDERS,
    PLAIN,
    STRICT_WRAPPERS,
    WRAPPERS,
)

_GIVEN = re.compile(r"(?:-e|-D|--(?:env|setenv|build-arg)=)?([A-Za-z_][A-Za-z0-9_]*)=")
_BY_NAME = frozenset("unset read mapfile readarray getopts".split())
_DEPTH_MAX = 16
_PLACES = re.compile(r"\{[0-9]*(?:[#%/.]|//|/\.)*\}")


def check_command(words: Sequence[Word], around: Surroundings, *, depth: int = 0) -> None:
    """Raise TemplateError if the command could run the value of a template as code."""
    words = list(words)
    if not words:
        return
    if depth > _DEPTH_MAX:
        raise refuse(Hole(str(words[0]), True), "commands are nested too deeply", BY_VARIABLE)
    name = name_of(words[0])
    if name is None:
        _check_unnamed(words, around)
        return
    _check_files(name, words, around)
    launcher = LAUNCHERS.get(name)
    if launcher is not None and name not in WRAPPERS:
        _check_launcher(name, launcher, words[1:], around)
    if name in WRAPPERS:
        _check_wrapper(name, words[1:], around, depth)
    elif name in FINDERS:
        _check_finder(name, words[1:], around, depth)
    elif name == "git":
        _check_git(words[1:], around)
    elif name == "eval":
        _check_text(name, words[1:], replace(around, stdin=NO_INPUT))
    elif name in ("trap", "alias"):
        _check_late(name, words[1:], around)
    elif name in ("source", "."):
        _check_source(name, words[1:], around)
    elif name in ("test", "["):
        check_test([word for word in words[1:] if word.literal != "]"])
    elif name in _BY_NAME or (name == "printf" and _literal(words, 1) == "-v"):
        check_names(name, words[1:])
    elif name == "printf" and len(words) > 1 and words[1].value and not words[1].prefix:
        raise option_problem(words[1].value, name)
    elif (reader := reader_of(name)) is not None:
        check_reader(name, reader, words[1:], around)
    elif name not in PLAIN and not (launcher is not None and launcher.joins):
        _check_host(name, words[1:], around, depth)


def _check_files(name: str, words: list[Word], around: Surroundings) -> None:
    """The files that the command runs: its program, and those that the program looks for."""
    if "/" in str(words[0]):
        check_file(words[0], around)
    elif around.sets_path:
        check_named_file(name, around)
    for file in READ_BY.get(name, ()):
        check_named_file(file, around)
    if name in RUNNING:
        for word in words[1:]:
            if word.literal and not word.literal.startswith("-"):
                check_named_file(word.literal, around)


def _check_unnamed(words: list[Word], around: Surroundings) -> None:
    """A program whose name is not known might be one that runs its words."""
    named = words[0].value
    given = next((word.value for word in words[1:] if word.value), None) or around.stdin.value
    if named is not None and not named.is_template:
        raise refuse(named, "the shell would run the value as a command", BY_VARIABLE)
    if given is not None:
        raise refuse(
            given,
            f"the program is not known, since its name is {words[0]}, and it could run the value "
            "as code",
            "write the program's name, or " + BY_VARIABLE,
        )


def _literal(words: Sequence[Word], index: int) -> str | None:
    return words[index].literal if index < len(words) else None


def _check_text(name: str, words: Sequence[Word], around: Surroundings) -> None:
    """Words that are joined to one shell text."""
    for word in words:
        if word.value:
            raise as_code(word.value, name, "send the value on its standard input")
    text = " ".join(
        "".join(part if isinstance(part, str) else "_" for part in word.parts) for word in words
    )
    if text.strip():
        around.read_shell(text, around.stdin)
    elif around.stdin.value is not None:
        raise as_code(around.stdin.value, name, "write the commands in the text")


def _check_wrapper(name: str, words: list[Word], around: Surroundings, depth: int) -> None:
    found = unwrap(name, words)
    launcher = LAUNCHERS.get(name, Launcher())
    for part in found.options:
        if part.option == "?" and name in STRICT_WRAPPERS and part.word.value:
            raise option_problem(part.word.value, name)
        if part.option in launcher.runs:
            _check_option(name, part.option, part.word, launcher, around)
    for variable, word in found.assigned:
        check_assignment(variable, word)
    if found.text:
        _check_text(name, found.text, around)
    check_command(found.command, around, depth=depth + 1)


def _check_finder(name: str, words: list[Word], around: Surroundings, depth: int) -> None:
    split = next((word for word in words if word.splits), None)
    if split is not None and split.value is not None:
        raise option_problem(split.value, name)
    for command in commands_of_find(name, words):
        check_command(command, around, depth=depth + 1)


def _check_source(name: str, words: list[Word], around: Surroundings) -> None:
    if not words:
        return
    if words[0].value:
        raise as_code(words[0].value, name, "name the file in the text")
    if words[0].literal in STDIN_FILES and around.stdin.value:
        raise as_code(around.stdin.value, name, "write the commands in the text")
    check_file(words[0], around)


def _check_host(name: str, words: list[Word], around: Surroundings, depth: int) -> None:
    """Programs such as `docker run IMAGE sh -c TEXT`, and those that are not known."""
    for word in words:
        assigned = _GIVEN.match(word.prefix)
        if assigned and word.value:
            check_assignment(assigned[1], word)
    given = around.stdin.value
    if (
        given is not None
        and name in ("docker", "podman")
        and any(w.literal == "build" for w in words)
    ):
        raise as_code(given, name, "write the rules in a file")
    for command in commands_of_host(name, words, has_input=given is not None):
        check_command(command, around, depth=depth + 1)


def _check_launcher(name: str, launcher: Launcher, words: list[Word], around: Surroundings) -> None:
    """The words of a program that runs some of them."""
    if launcher.joins:
        _check_joined(name, launcher, words, around)
        return
    if launcher.reads_stdin and around.stdin.value is not None:
        raise as_code(around.stdin.value, name, launcher.instead)
    for index, word in enumerate(words):
        if word.value is None:
            continue
        is_after = any(before.literal in launcher.before for before in words[:index])
        is_marked = any(word.prefix.startswith(mark) for mark in launcher.marks)
        is_name = launcher.names and "=" in word.prefix
        if launcher.all_words or is_after or is_marked or is_name:
            raise as_code(word.value, name, launcher.instead)
        if launcher.is_remote and ":" in word.prefix:
            raise as_code(word.value, f"the shell of the other machine ({name})", "write the path")
        if launcher.starts and (not word.prefix or word.prefix.startswith(launcher.starts)):
            raise refuse(
                word.value,
                f"{name} runs a word that begins with {launcher.starts} as a command",
                "write a text such as ./ before it",
            )
    first = _literal(words, 0)
    if name in ("tar", "gtar") and first is not None and not first.startswith("-"):
        # `tar xzf FILE`: options without a hyphen.
        words = [Word((f"-{first}",)), *words[1:]]
    others = 0
    for part in parts_of(words, launcher.runs | launcher.taking):
        if launcher.ends_at and others >= launcher.ends_at:
            return
        others += part.option == ""
        if part.option in launcher.runs:
            _check_option(name, part.option, part.word, launcher, around)
        elif part.option == "?" and part.word.value and launcher.is_strict:
            raise option_problem(part.word.value, name)


def _check_option(
    name: str, option: str, word: Word, launcher: Launcher, around: Surroundings
) -> None:
    """The argument of an option that is run."""
    if word.value:
        raise as_code(word.value, name, launcher.instead)
    if word.literal:
        check_named_file(word.literal, around)
    if word.literal and option in SHELL_TEXTS:
        around.read_shell(word.literal, around.stdin)


def _check_joined(name: str, launcher: Launcher, words: list[Word], around: Surroundings) -> None:
    rest = list(words)
    while rest:
        if rest[0].literal == "--":
            rest.pop(0)
            break
        parts, count = first_parts(rest, launcher.runs | launcher.taking)
        option, word = parts[-1].option, parts[-1].word
        if option == "":
            break
        if option == "?" and word.value:
            raise option_problem(word.value, name)
        if option in launcher.runs and word.value:
            raise as_code(word.value, name, "write the option in the text")
        del rest[:count]
    if name == "parallel" and around.stdin.value is not None and rest:
        # A line of its input is a word of the command, quoted once.
        rest = [_with_place(word) for word in rest]
    _check_text(name, rest if launcher.joins == "all" else rest[1:], around)


def _with_place(word: Word) -> Word:
    parts = (_PLACES.sub('"$1"', part) if isinstance(part, str) else part for part in word.parts)
    return Word(tuple(parts), word.line)


def _check_git(words: list[Word], around: Surroundings) -> None:
    rest = list(words)
    while rest and (rest[0].prefix.startswith("-") or (not rest[0].prefix and rest[0].value)):
        word = rest.pop(0)
        takes = word.literal in ("-c", "-C", "--config-env", "--git-dir", "--work-tree")
        argument = rest.pop(0) if takes and rest else word
        if argument.value and word.literal not in ("-C", "--git-dir", "--work-tree"):
            raise as_code(argument.value, "git", "write the option in the text")
    command = _literal(rest, 0)
    after = rest[1:]
    for part in parts_of(after, GIT_OPTIONS | GIT_ARGUMENTS):
        is_command = part.option in GIT_OPTIONS or (
            part.option == "x" and command in ("rebase", "difftool", "bisect")
        )
        if part.word.value and (is_command or (part.option == "?" and command in GIT_COMMANDS)):
            if is_command:
                raise as_code(part.word.value, "git", "write the option in the text")
            raise option_problem(part.word.value, f"git {command}")
    if command is None and rest:
        _check_unnamed(rest, around)
    if command == "config" and any(w.prefix.lower().startswith(GIT_SETTINGS) for w in after):
        for word in after:
            if word.value:
                raise as_code(word.value, "git", "write the setting in the text")
    if f"{command} {_literal(after, 0)}" in ("bisect run", "submodule foreach"):
        _check_text(f"git {command}", [w for w in after[1:] if w.literal != "--recursive"], around)


def _check_late(name: str, words: list[Word], around: Surroundings) -> None:
    """`trap` and `alias` keep a text that the shell reads later."""
    texts = [word for word in words if word.literal not in ("--", "-", "-p", "-l")]
    for word in texts[:1] if name == "trap" else texts:
        if word.value:
            raise as_code(word.value, name, "put the value into a variable, in single quotes")
        text = word.literal
        if text is not None and text:
            around.read_shell(text if name == "trap" else text.partition("=")[2], NO_INPUT)

"""Whether the value of a template is a word of a command, or would be read again as code.

The facts about programs are in `program_table.py`. Shell text inside a word is left to the caller,
who reads it with `shell_values.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from orc.scheduler.core.language.code_readers import STDIN_FILES, check_reader, reader_of
from orc.scheduler.core.language.program_options import first_parts, parts_of
from orc.scheduler.core.language.program_rules import (
    Surroundings,
    as_code,
    check_file,
    option_problem,
)
from orc.scheduler.core.language.program_table import (
    ALL_CODE,
    ARGUMENT_LETTERS,
    COMMAND_OPTIONS,
    GIT_ARGUMENTS,
    GIT_COMMANDS,
    GIT_OPTIONS,
    GIT_SETTINGS,
    NO_VALUE_FIRST,
    PLAIN,
    RUN_ALL,
    RUN_ALL_TAKING,
    WRAPPERS,
    Reader,
)
from orc.scheduler.core.language.shell_builtins import check_assignment, check_names, check_test
from orc.scheduler.core.language.shell_words import (
    BY_VARIABLE,
    NO_INPUT,
    Hole,
    Word,
    refuse,
)

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\+?=")
_GLOB = re.compile(r"[*?\[]")
_FROM_XARGS = Word((Hole("the input of xargs", is_value=True),))
_FROM_FIND = Hole("{} of find", is_value=True)
_FIND_COMMANDS = ("-exec", "-execdir", "-ok", "-okdir")
_SHELL_TEXTS = frozenset("c command call run-command".split())
_YQ_COMMANDS = ("e", "ea", "eval", "eval-all")
_BY_NAME = frozenset("unset read mapfile readarray getopts".split())
_DEPTH_MAX = 16


def check_command(words: Sequence[Word], around: Surroundings, *, depth: int = 0) -> None:
    """Raise TemplateError if the command could run the value of a template as code."""
    words = list(words)
    if not words:
        return
    if depth > _DEPTH_MAX:
        raise refuse(Hole(str(words[0]), True), "commands are nested too deeply", BY_VARIABLE)
    name = _name_of(words[0])
    if name is None:
        _check_unnamed(words, around)
        return
    if "/" in str(words[0]):
        check_file(words[0], around)
    if name in WRAPPERS:
        if name == "flock":
            _check_command_options(name, words[1:], around)
        check_command(_wrapped(name, words[1:], around), around, depth=depth + 1)
    elif name == "find":
        split = next((word for word in words if word.splits), None)
        if split is not None and split.value is not None:
            raise option_problem(split.value, name)
        for command in _commands_of_find(words[1:]):
            check_command(command, around, depth=depth + 1)
    elif name in RUN_ALL:
        _check_joined(name, words[1:], around)
    elif name == "git":
        _check_git(words[1:], around)
    elif name in ALL_CODE:
        _check_all_code(name, words[1:], around)
    elif name in ("trap", "alias"):
        _check_late(name, words[1:], around)
    elif name in ("source", "."):
        if len(words) > 1:
            if words[1].value:
                raise as_code(words[1].value, name, "name the file in the text")
            if words[1].literal in STDIN_FILES and around.stdin.value:
                raise as_code(around.stdin.value, name, "write the commands in the text")
            check_file(words[1], around)
    elif name in ("test", "["):
        check_test([word for word in words[1:] if word.literal != "]"])
    elif name in _BY_NAME or (name == "printf" and _literal(words, 1) == "-v"):
        check_names(name, words[1:])
    elif name == "printf" and len(words) > 1 and words[1].value and not words[1].prefix:
        raise option_problem(words[1].value, name)
    elif (reader := reader_of(name)) is not None:
        has_command = name == "yq" and _literal(words, 1) in _YQ_COMMANDS
        check_reader(name, reader, words[2 if has_command else 1 :], around)
    else:
        _check_other(name, words[1:], around, depth)


def _name_of(word: Word) -> str | None:
    """The name of the program, without its folder; None if it is not known."""
    if word.literal is not None:
        name = word.literal.rpartition("/")[2]
    elif "/" in word.suffix:
        name = word.suffix.rpartition("/")[2]
    else:
        name = word.prefix.rpartition("/")[2]
        return name if name and reader_of(name) else None
    return None if _GLOB.search(name) and name != "[" else name


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
            "write the program's name, " + BY_VARIABLE,
        )


def _literal(words: Sequence[Word], index: int) -> str | None:
    return words[index].literal if index < len(words) else None


def _wrapped(name: str, words: list[Word], around: Surroundings) -> list[Word]:
    """The command in the words of a wrapper."""
    wrapper = WRAPPERS[name]
    taking = wrapper.taking | {"S", "split-string"} if name == "env" else wrapper.taking
    rest = list(words)
    marks: list[str] = []
    while rest and not (wrapper.skip and rest[0].prefix[:1] != "-"):
        if rest[0].literal == "--":
            rest.pop(0)
            break
        if wrapper.assigns and (found := _ASSIGNMENT.match(rest[0].prefix)):
            check_assignment(found[1], rest.pop(0))
            continue
        parts, count = first_parts(rest, taking, wrapper.attached)
        option, word = parts[-1].option, parts[-1].word
        if option == "?" and name in NO_VALUE_FIRST and word.value:
            raise option_problem(word.value, name)
        if option in ("", "?"):
            break
        del rest[:count]
        if name == "env" and option in ("S", "split-string"):
            _check_text(name, [word, *rest], around)
            return []
        if name == "xargs" and option in ("I", "i", "replace"):
            marks.append(word.literal or "{}")
    del rest[: wrapper.skip]
    if name == "xargs" and rest:
        return [_replace(word, marks) for word in rest] + ([] if marks else [_FROM_XARGS])
    return rest


def _replace(word: Word, marks: list[str]) -> Word:
    if any(isinstance(part, str) and mark in part for part in word.parts for mark in marks):
        return Word((*word.parts, *_FROM_XARGS.parts), word.line)
    return word


def _commands_of_find(words: list[Word]) -> Iterator[list[Word]]:
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.literal not in _FIND_COMMANDS:
            continue
        command: list[Word] = []
        while rest and rest[0].literal not in (";", "+"):
            part = rest.pop(0)
            has_mark = any(isinstance(text, str) and "{}" in text for text in part.parts)
            if part.literal == "{}":
                command.append(Word((_FROM_FIND,)))
            else:
                command.append(Word((*part.parts, _FROM_FIND)) if has_mark else part)
        yield command


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


def _check_joined(name: str, words: list[Word], around: Surroundings) -> None:
    options = COMMAND_OPTIONS.get(name, frozenset())
    taking = RUN_ALL_TAKING.get(name, frozenset())
    rest = list(words)
    while rest:
        if rest[0].literal == "--":
            rest.pop(0)
            break
        parts, count = first_parts(rest, taking)
        option, word = parts[-1].option, parts[-1].word
        if option == "":
            break
        if option == "?" and word.value:
            raise option_problem(word.value, name)
        if option in options and word.value:
            raise as_code(word.value, name, "write the option in the text")
        del rest[:count]
    _check_text(name, rest if name in ("watch", "parallel") else rest[1:], around)


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


def _check_all_code(name: str, words: list[Word], around: Surroundings) -> None:
    for word in words:
        if word.value:
            instead = "compute it in the template" if name == "let" else "write the command itself"
            raise as_code(word.value, name, instead)
    if name == "eval":
        _check_text(name, words, replace(around, stdin=NO_INPUT))
    elif name in ("at", "batch", "crontab") and around.stdin.value is not None:
        raise as_code(around.stdin.value, name, "write the command in the text")


def _check_late(name: str, words: list[Word], around: Surroundings) -> None:
    """`trap` and `alias` keep a text that the shell reads later."""
    texts = [word for word in words if word.literal not in ("--", "-", "-p", "-l")]
    for word in texts[:1] if name == "trap" else texts:
        if word.value:
            raise as_code(word.value, name, "put the value into a variable, in single quotes")
        text = word.literal
        if text is not None and text:
            around.read_shell(text if name == "trap" else text.partition("=")[2], NO_INPUT)


def _check_command_options(name: str, words: list[Word], around: Surroundings) -> None:
    options = COMMAND_OPTIONS.get(name, frozenset())
    known = options | ARGUMENT_LETTERS.get(name, frozenset())
    first = _literal(words, 0)
    if name == "tar" and first is not None and not first.startswith("-"):
        # `tar xzf FILE`: options without a hyphen.
        words = [Word((f"-{first}",)), *words[1:]]
    for part in parts_of(words, known, frozenset()):
        if part.option in options:
            if part.word.value:
                raise as_code(part.word.value, name, "write the command in the text")
            if part.word.literal and part.option in _SHELL_TEXTS:
                around.read_shell(part.word.literal, around.stdin)
        elif part.option == "?" and part.word.value and name in NO_VALUE_FIRST:
            raise option_problem(part.word.value, name)


def _check_other(name: str, words: list[Word], around: Surroundings, depth: int) -> None:
    _check_command_options(name, words, around)
    if name in ("su", "runuser", "sg"):
        for word in words:
            if word.value:
                raise as_code(word.value, f"the shell of {name}", "write the command in the text")
    builds = name in ("docker", "podman") and any(word.literal == "build" for word in words)
    if around.stdin.value is not None and (builds or name in ("make", "gmake")):
        raise as_code(around.stdin.value, name, "write the rules in a file")
    if name in ("make", "gmake"):
        for word in words:
            if word.value and "=" in word.prefix:
                raise as_code(word.value, name, "set a variable of the environment")
    if name in ("scp", "rsync"):
        for word in words:
            if word.value and ":" in word.prefix:
                raise as_code(
                    word.value, f"the shell of the other machine ({name})", "write the path"
                )
    if name in ("su", "runuser", "script") and around.stdin.value is not None:
        raise as_code(around.stdin.value, name, "write the command in the text")
    if name in PLAIN:
        return
    # Programs such as `docker run IMAGE sh -c TEXT` run what their later words name.
    for index, word in enumerate(words):
        inner = (word.literal or "").rpartition("/")[2]
        reader = reader_of(inner)
        if inner == "eval" or inner in ("ssh", "xargs", "env"):
            check_command(words[index:], around, depth=depth + 1)
        elif reader is not None and reader.first == "script":
            following = [w.literal or w.prefix for w in words[index + 1 :]]
            if (
                any(_is_code_option(text, reader) for text in following)
                or around.stdin.value is not None
            ):
                check_command(words[index:], around, depth=depth + 1)


def _is_code_option(text: str, reader: Reader) -> bool:
    if text.startswith("--"):
        return text[2:].partition("=")[0] in reader.code
    return text.startswith("-") and any(letter in reader.code for letter in text[1:])

"""Programs that read code from an option, a word, a file or their input, such as python and sed."""

from __future__ import annotations

import re

from orc.scheduler.core.language.program_options import parts_of
from orc.scheduler.core.language.program_rules import (
    Surroundings,
    as_code,
    check_file,
    option_problem,
)
from orc.scheduler.core.language.program_table import READERS, Reader
from orc.scheduler.core.language.shell_words import NO_INPUT, Word

STDIN_FILES = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
"""Names of the standard input."""
_VERSION = re.compile(r"[-.]?[0-9][0-9.]*\Z")


def reader_of(name: str) -> Reader | None:
    """How the program reads code; None if it is not known to do so."""
    return READERS.get(name) or READERS.get(_VERSION.sub("", name))


def check_reader(name: str, reader: Reader, words: list[Word], around: Surroundings) -> None:
    """Raise TemplateError if the program could read a value among its words as code."""
    taking = reader.taking | reader.ending | reader.from_file
    if not reader.is_shell:
        taking |= reader.code
    has_code = wants_code = False
    for part in parts_of(_without_data(words, reader), taking, reader.attached):
        option, word = part.option, part.word
        is_other = option in ("", "?")
        if reader.is_shell and word.literal == "-":
            # It ends the options, as `--` does.
            continue
        if option in reader.code and reader.is_shell:
            # The code is the first word that is no option.
            wants_code = True
        elif option in reader.code or (is_other and wants_code):
            _check_code(name, word, reader, around)
            has_code = True
            if reader.after == "data" or reader.is_shell:
                return
        elif is_other and reader.first == "code" and not has_code:
            _check_code(name, word, reader, around)
            has_code = True
            if reader.after != "all options":
                return
        elif option == "?" and word.value:
            raise option_problem(word.value, name)
        elif option in reader.ending or option in reader.from_file:
            if word.literal in STDIN_FILES:
                break
            _check_script(name, word, reader, around)
            has_code = True
            if option in reader.ending:
                _check_module(name, word, words, reader)
                return
        elif (option == "s" and reader.is_shell) or (word.literal in STDIN_FILES and not has_code):
            break
        elif option == "" and reader.first == "data" and word.value:
            raise as_code(word.value, name, reader.instead)
        elif option == "" and reader.first == "script":
            if not has_code:
                _check_script(name, word, reader, around)
            return
    if not has_code and reader.reads_stdin and around.stdin.value is not None:
        raise as_code(around.stdin.value, name, reader.instead)
    if not has_code and reader.is_shell and around.stdin.text:
        around.read_shell(around.stdin.text, NO_INPUT)


def _check_module(name: str, module: Word, words: list[Word], reader: Reader) -> None:
    """Python's module `timeit` runs its arguments."""
    given = next((word.value for word in words if word.value), None)
    if module.literal == "timeit" and given is not None:
        raise as_code(given, f"{name} -m timeit", reader.instead)


def _check_code(name: str, word: Word, reader: Reader, around: Surroundings) -> None:
    if word.value:
        raise as_code(word.value, name, reader.instead)
    if reader.is_shell:
        text = "".join(part if isinstance(part, str) else "_" for part in word.parts)
        around.read_shell(text, around.stdin)


def _without_data(words: list[Word], reader: Reader) -> list[Word]:
    """The words without the names and values of options such as `--arg NAME VALUE`."""
    found: list[Word] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if (word.literal or "").lstrip("-") in reader.all_data and (word.literal or "")[:2] == "--":
            del rest[:2]
            continue
        found.append(word)
    return found


def _check_script(name: str, word: Word, reader: Reader, around: Surroundings) -> None:
    check_file(word, around)
    if any(not hole.is_template for hole in word.holes if hole.is_value):
        raise as_code(word.holes[0], name, reader.instead)

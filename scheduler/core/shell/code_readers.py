"""Programs that read code from an option, a word, a file or their input, such as python and sed."""

from __future__ import annotations

import re

from msgspec.structs import replace

from orc.scheduler.core.shell.code_calls import calls_of
from orc.scheduler.core.shell.program_options import parts_of
from orc.scheduler.core.shell.program_rules import (
    Surroundings,
    as_code,
    check_file,
    option_problem,
)
from orc.scheduler.core.shell.program_table import Reader
from orc.scheduler.core.shell.shell_words import (
    BY_VARIABLE,
    NO_INPUT,
    Hole,
    Input,
    Word,
    refuse,
)
from orc.scheduler.core.shell.table_of_files import IMPORTED

STDIN_FILES = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
"""Names of the standard input."""
_CODE_MODULES = frozenset("timeit pdb code asyncio IPython ptpython bpython sqlite3 xonsh".split())
_PERL_LOOP = re.compile(r"-[a-zA-Z0-9]*[np]|.*<(ARGV)?>(?!>)", re.DOTALL)


def check_reader(name: str, reader: Reader, words: list[Word], around: Surroundings) -> None:
    """Raise TemplateError if the program could read a value among its words as code."""
    command = words[0].literal if words else None
    if command in reader.code_commands:
        reader = replace(reader, first="code")
        words = words[1:]
    elif command in reader.commands:
        words = words[1:]
    codes: list[str] = []
    _check_words(name, reader, words, around, codes)
    for code in codes if reader.calls else ():
        given = _given(words, code, around)
        if given is not None:
            _check_calls(name, reader, code, given, around)
    if reader.calls == "perl":
        _check_perl_files(name, words, codes)
    _check_imports(name, reader, words, around)


def _check_imports(name: str, reader: Reader, words: list[Word], around: Surroundings) -> None:
    """A program may import the files beside it. Those beside the spec have no such files."""
    endings = IMPORTED.get(reader.calls, ())
    if any(hole.shown == "$ORC_SPEC_DIR" for word in words for hole in word.holes):
        return
    for file in around.written.known if endings else ():
        if file.endswith(endings):
            raise refuse(
                Hole(file, True),
                f"{name} may import this file, and the same text writes values into it",
                f"write the value into a file of data, or {BY_VARIABLE}",
            )


def _given(words: list[Word], code: str, around: Surroundings) -> Hole | None:
    """A value that the program gets beside its code: in a word, its input, a variable, a file."""
    for word in words:
        if word.value:
            return word.value
        if word.literal and around.written.may_have(word):
            return Hole(str(word), True)
    if around.stdin.value is not None:
        return around.stdin.value
    known = set(re.findall(r"\w+", code)) & around.tainted
    return Hole("$" + min(known), True) if known else None


def _check_calls(name: str, reader: Reader, code: str, given: Hole, around: Surroundings) -> None:
    for call in calls_of(reader.calls, code):
        if call.text is None:
            raise refuse(
                given,
                f"the program that {name} gets here runs what is not written in it ({call.name}), "
                "which could be the value",
                "call it with constant words only, or " + BY_VARIABLE,
            )
        around.read_shell(call.text, Input(given))


def _check_perl_files(name: str, words: list[Word], codes: list[str]) -> None:
    """Perl runs the name of an input file that ends with a `|`."""
    reads = any(_PERL_LOOP.match(word.literal or "") for word in words)
    files = [word for word in words if word.value and word.suffix in ("", "|")]
    if reads and codes and files and files[0].value is not None:
        raise refuse(
            files[0].value,
            f"{name} would run the name of a file that ends with a |",
            "let it read the file from its standard input, `< ${{ ... }}`",
        )


def _check_words(
    name: str, reader: Reader, words: list[Word], around: Surroundings, codes: list[str]
) -> None:
    """Check the words of an interpreter, and collect the texts of programs among them."""
    taking = reader.taking | reader.ending | reader.from_file
    if not reader.is_shell:
        taking |= reader.code
    has_code = wants_code = from_input = False
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
            _check_code(name, word, reader, around, codes)
            has_code = True
            if reader.after == "data" or reader.is_shell:
                return
        elif is_other and reader.first == "code" and not has_code:
            _check_code(name, word, reader, around, codes)
            has_code = True
            if reader.after != "all options":
                return
        elif option == "?" and word.value:
            raise option_problem(word.value, name)
        elif option in reader.ending or option in reader.from_file:
            if word.literal in STDIN_FILES:
                from_input = True
                break
            _check_script(name, word, reader, around)
            has_code = True
            if option in reader.ending:
                _check_module(name, word, words, reader, around)
                return
        elif (option == "s" and reader.is_shell) or (word.literal in STDIN_FILES and not has_code):
            break
        elif option == "" and reader.first == "data" and word.value:
            raise as_code(word.value, name, reader.instead)
        elif option == "" and reader.first == "script":
            if not has_code:
                _check_script(name, word, reader, around)
            return
    reads_input = from_input or (reader.reads_stdin and not has_code)
    if reads_input and around.stdin.value is not None:
        raise as_code(around.stdin.value, name, reader.instead)
    if reads_input and reader.is_shell and around.stdin.text:
        around.read_shell(around.stdin.text, NO_INPUT)
    elif reads_input and around.stdin.text:
        codes.append(around.stdin.text)


def _check_module(
    name: str, module: Word, words: list[Word], reader: Reader, around: Surroundings
) -> None:
    """Modules of Python such as `timeit` run their arguments, or their input."""
    given = next((word.value for word in words if word.value), None) or around.stdin.value
    if module.literal in _CODE_MODULES and given is not None:
        raise as_code(given, f"{name} -m {module.literal}", reader.instead)


def _check_code(
    name: str, word: Word, reader: Reader, around: Surroundings, codes: list[str]
) -> None:
    if word.value:
        raise as_code(word.value, name, reader.instead)
    text = "".join(part if isinstance(part, str) else "_" for part in word.parts)
    if reader.is_shell:
        around.read_shell(text, around.stdin)
    else:
        codes.append(text)


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

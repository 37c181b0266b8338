"""Which files of a shell text may get the value of a template.

A redirection and `tee` write the file that they name. What another program writes is not known:
if a value reaches it, each file that its words or its program name may get the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from orc.scheduler.core.shell.inner_commands import commands_of_host, innermost, name_of
from orc.scheduler.core.shell.program_options import parts_of
from orc.scheduler.core.shell.shell_words import Hole, Input, Word
from orc.scheduler.core.shell.table_of_files import (
    COPYING,
    FETCHING,
    READING,
    RUNNING,
    UNPACKING,
    WRITING,
)
from orc.scheduler.core.shell.table_of_languages import reader_of
from orc.scheduler.core.shell.written_files import Certainty, WrittenFiles

_STDIN = ("-", "/dev/stdin")
_NAME = re.compile(r"[\w.@%+~-]*[\w](?:/[\w.@%+~-]+)*")
_OUTPUT = re.compile(r"-[oOwf]\Z|--(?:out|to|file|write|save|dest|target)[\w-]*\Z")
_TAKING_NAMES = ("apply", "am")


def files_of_command(
    words: Sequence[Word], stdin: Input, written: WrittenFiles
) -> Iterator[tuple[Word, Certainty]]:
    """The files that a command may write a value into, and how certain that is.

    `written` are the files of other commands.
    """
    for command in innermost(words):
        name = name_of(command[0]) or ""
        if name == "git" and len(command) > 1 and command[1].literal in _TAKING_NAMES:
            name = f"git-{command[1].literal}"
        known = _known_files(name, command[1:], stdin, written)
        if known is not None:
            yield from ((word, "known") for word in known)
        elif name not in READING and name not in FETCHING:
            has_value = stdin.certain_value or any(word.certain_value for word in command[1:])
            if has_value or names_written(command[1:], written):
                yield from ((word, "named") for word in _mentioned(name, command, stdin))


def _known_files(
    name: str, words: list[Word], stdin: Input, written: WrittenFiles
) -> list[Word] | None:
    """The files that a program is known to write a value into; None for any other program."""
    has_input = stdin.value is not None
    if name in COPYING:
        sources = [word.literal or "" for word in words[:-1]]
        reads = any(source in _STDIN or source.startswith("/dev/fd/") for source in sources)
        opened = [hole for word in words[:-1] for hole in word.holes if hole.shown[:2] == "<("]
        gets_value = (reads and has_input) or any(not hole.in_doubt for hole in opened)
        return words[-1:] if gets_value or names_written(words[:-1], written) else []
    if name in WRITING:
        return words if has_input else []
    if name == "dd":
        texts = (word.literal or "" for word in words)
        return [
            *(Word((text[3:],)) for text in texts if text.startswith("of=")),
            *(word for word in words if word.value),
        ]
    if name in UNPACKING:
        gets_value = stdin.certain_value is not None or names_written(words, written)
        return [Word((Hole(f"a file that {name} writes", True),))] if gets_value else []
    return None


def names_written(words: Sequence[Word], written: WrittenFiles) -> bool:
    """Whether one of the words names a file in which a value may be."""
    return any(
        word.literal and not word.literal.startswith("-") and written.may_have(word)
        for word in words
    )


def _mentioned(name: str, words: list[Word], stdin: Input) -> Iterator[Word]:
    """The files that the words of a program name, except the scripts that it runs."""
    if name in RUNNING:
        return
    is_reader = reader_of(name) is not None
    scripts = set(_scripts(words))
    for command in commands_of_host(name, words[1:], has_input=True):
        scripts.update(_scripts(command))
    if is_reader:
        yield from _names_in(stdin.text)
    before = ""
    for word in words[1:]:
        text = "".join(part if isinstance(part, str) else " " for part in word.parts)
        if id(word) in scripts:
            before = ""
        elif re.search(r"[\s\"'(<>|]", text.strip()) and (is_reader or " " in text.strip()):
            yield from _names_in(text)
        elif text.startswith("-"):
            given = text.partition("=")[2] or text[2:]
            yield from (Word((given,)) for _ in range(bool(given)))
            before = text
        else:
            if word.literal and ("." in text or "/" in text or _OUTPUT.match(before)):
                yield Word((text.partition("=")[2] or text,))
            before = ""


def _scripts(words: Sequence[Word]) -> Iterator[int]:
    """The words, by their identity, that name the script that an interpreter runs."""
    reader = reader_of(name_of(words[0]) or "")
    rest = list(words[1:])
    if reader is None:
        return
    if rest and rest[0].literal in reader.commands:
        rest.pop(0)
    has_code = False
    for part in parts_of(rest, reader.taking | reader.ending | reader.from_file | reader.code):
        is_first = part.option == "" and reader.first == "script" and not has_code
        if is_first or part.option in reader.from_file | reader.ending:
            yield id(part.word)
            has_code = True
        has_code = has_code or part.option in reader.code


def _names_in(text: str) -> Iterator[Word]:
    for found in _NAME.findall(text):
        yield Word((found,))

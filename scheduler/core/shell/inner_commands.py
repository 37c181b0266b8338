"""Finds the command inside the words of another one: of `sudo`, `xargs`, `find -exec` and so on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct, field

from orc.scheduler.core.shell.program_options import Part, first_parts
from orc.scheduler.core.shell.shell_words import Hole, Word
from orc.scheduler.core.shell.table_of_commands import LAUNCHERS
from orc.scheduler.core.shell.table_of_languages import reader_of
from orc.scheduler.core.shell.table_of_wrappers import FINDERS, HOSTS, WRAPPERS

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\+?=")
_GLOB = re.compile(r"[*?\[]")
_FROM_XARGS = Word((Hole("the input of xargs", is_value=True),))
_FROM_FIND = Hole("{} of find", is_value=True)
_FOUND_MARK = re.compile(r"\{(?:|/|//|\.|/\.)\}")
_ALWAYS = frozenset("eval ssh xargs env".split())
_DEPTH_MAX = 16


class Wrapped(Struct):
    """The words of a wrapper: the command in them, its own options, and the variables it sets.

    If `text` has words, the wrapper joins them to the words of a command.
    """

    command: list[Word] = field(default_factory=list)
    options: list[Part] = field(default_factory=list)
    assigned: list[tuple[str, Word]] = field(default_factory=list)
    text: list[Word] = field(default_factory=list)


def name_of(word: Word) -> str | None:
    """The name of the program, without its folder; None if it is not known."""
    if word.literal is not None:
        name = word.literal.rpartition("/")[2]
    elif "/" in word.suffix:
        name = word.suffix.rpartition("/")[2]
    else:
        name = word.prefix.rpartition("/")[2]
        return name if name and reader_of(name) else None
    return None if _GLOB.search(name) and name != "[" else name


def unwrap(name: str, words: Sequence[Word]) -> Wrapped:
    """The words of a wrapper."""
    wrapper = WRAPPERS[name]
    taking = wrapper.taking
    if name in LAUNCHERS:
        taking |= LAUNCHERS[name].runs
    if name == "env":
        taking |= {"S", "split-string"}
    rest = list(words)
    found = Wrapped()
    marks: list[str] = []
    while rest and not (wrapper.skip and rest[0].prefix[:1] != "-"):
        if rest[0].literal == "--":
            rest.pop(0)
            break
        if wrapper.assigns and (assignment := _ASSIGNMENT.match(rest[0].prefix)):
            found.assigned.append((assignment[1], rest.pop(0)))
            continue
        parts, count = first_parts(rest, taking, wrapper.attached)
        option, word = parts[-1].option, parts[-1].word
        found.options += [part for part in parts if part.option]
        if option in ("", "?"):
            break
        del rest[:count]
        if name == "env" and option in ("S", "split-string"):
            found.text = [word, *rest]
            return found
        if name == "xargs" and option in ("I", "i", "replace"):
            marks.append(word.literal or "{}")
    del rest[: wrapper.skip]
    if name == "flock" and rest and rest[0].prefix.startswith("-"):
        found.options += first_parts(rest, taking)[0]
        return found
    if name == "xargs" and rest:
        rest = [_replace(word, marks) for word in rest] + ([] if marks else [_FROM_XARGS])
    found.command = rest
    return found


def _replace(word: Word, marks: list[str]) -> Word:
    if any(isinstance(part, str) and mark in part for part in word.parts for mark in marks):
        return Word((*word.parts, *_FROM_XARGS.parts), word.line)
    return word


def commands_of_find(name: str, words: Sequence[Word]) -> Iterator[list[Word]]:
    """The commands that `find` or `fd` runs, with a value in the place of `{}`."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.literal not in FINDERS[name]:
            continue
        command: list[Word] = []
        has_mark = False
        while rest and rest[0].literal not in (";", "+"):
            part = rest.pop(0)
            if any(isinstance(text, str) and _FOUND_MARK.search(text) for text in part.parts):
                has_mark = True
                is_mark = part.literal is not None and _FOUND_MARK.fullmatch(part.literal)
                part = Word((_FROM_FIND,) if is_mark else (*part.parts, _FROM_FIND))
            command.append(part)
        if not has_mark and name.startswith("fd"):
            command.append(Word((_FROM_FIND,)))
        yield command


def commands_of_host(name: str, words: Sequence[Word], *, has_input: bool) -> Iterator[list[Word]]:
    """The commands that words such as those of `docker exec` may be, from each program's name on.

    For a program that is not known, only those after `--` and those that read code, which may be
    on the standard input.
    """
    is_inside = name in HOSTS and not HOSTS[name]
    for index, word in enumerate(words):
        literal = word.literal or ""
        inner = literal.rpartition("/")[2]
        if (
            (is_inside and _runs_words(inner))
            or inner in _ALWAYS
            or _reads_code(inner, words[index + 1 :], has_input=has_input)
        ):
            yield list(words[index:])
        is_inside = is_inside or literal == "--" or literal in HOSTS.get(name, ())


def _runs_words(name: str) -> bool:
    return reader_of(name) is not None or any(
        name in table for table in (LAUNCHERS, WRAPPERS, FINDERS)
    )


def _reads_code(name: str, words: Sequence[Word], *, has_input: bool) -> bool:
    """Whether the interpreter gets code in an option, or may read it from its input."""
    reader = reader_of(name)
    if reader is None or reader.first != "script":
        return False
    if has_input:
        return True
    for word in words:
        text = word.literal or word.prefix
        if text.startswith("--"):
            if text[2:].partition("=")[0] in reader.code:
                return True
        elif text.startswith("-") and any(letter in reader.code for letter in text[1:]):
            return True
    return False


def innermost(words: Sequence[Word], *, depth: int = 0) -> Iterator[list[Word]]:
    """The commands that the words run in the end, without those that wrap them."""
    name = name_of(words[0]) if words else None
    if not words or name is None or depth > _DEPTH_MAX:
        if words:
            yield list(words)
    elif name in WRAPPERS:
        found = unwrap(name, words[1:])
        yield from innermost(found.command or found.text, depth=depth + 1)
    else:
        yield list(words)
        if name in FINDERS:
            for command in commands_of_find(name, words[1:]):
                yield from innermost(command, depth=depth + 1)

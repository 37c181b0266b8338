"""Hides the secrets that only a spec names, when an error is printed before the spec is read.

An unknown option or a mistake in the spec ends a command before `cli/jobs/caller/secrets.py` knows
its secrets. Here the files on the command line are searched for lists under `secrets`. They are not
parsed: the text may be what is wrong, and a name too many only hides more.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from orc.cli.output_mask import widen_output_mask
from orc.ledger.files.descriptors import streams_read
from orc.ledger.secrets.masking import Mask

FILE_BYTES_MAX = 1024 * 1024
FILES_MAX = 32

# Each takes time that grows with the text only, whatever the text is.
_KEY = re.compile(r"""\bsecrets["']?\s*:\s*(?:&\S{1,100}\s+)?""")
_ANCHOR = re.compile(r"&\S{1,100}\s+")
_LIST = re.compile(r"\[[^\]]*|(?:\s*[-#][^\n]*)+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BETWEEN = re.compile(r"""[\s"'\[\]{},]+""")


def hide_named_secrets(arguments: Iterable[str], environment: Mapping[str, str]) -> None:
    """Hide the variables that specs among the arguments name as secrets, in all later output.

    The specs that these name, as workflows or templates, are read too.
    """
    names = {name for text in _texts(arguments) for name in _names_in(text)}
    widen_output_mask(Mask({name: environment[name] for name in names & environment.keys()}))


def _texts(arguments: Iterable[str]) -> Iterator[str]:
    """The texts of the files, of what was read from pipes, and of the YAML files that they name."""
    parts = (part for given in arguments for part in {given, given.partition("=")[2]} if part)
    left = [Path(os.path.expanduser(part)) for part in parts]
    seen: set[Path] = set()
    for content in streams_read():
        piped = content[:FILE_BYTES_MAX].decode("utf-8", "replace")
        yield piped
        left += _named_in(piped, Path())
    while left and len(seen) < FILES_MAX:
        path = left.pop(0)
        text = None if path in seen else _read(path)
        if text is not None:
            seen.add(path)
            yield text
            left += _named_in(text, path.parent)


def _named_in(text: str, folder: Path) -> list[Path]:
    """The YAML files that a text in the folder names."""
    words = dict.fromkeys(_BETWEEN.split(text))
    named = (word for word in words if word.endswith((".yaml", ".yml")))
    return [folder / os.path.expanduser(word) for word in named]


def _read(path: Path) -> str | None:
    """The text of a small regular file; None for anything else, since reading it might not end."""
    try:
        # Opening a pipe and closing it would end its writer.
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError):
        return None
    return content.decode("utf-8", "replace") if len(content) <= FILE_BYTES_MAX else None


def _names_in(text: str) -> Iterator[str]:
    lists = [*_lists(_KEY, text)]
    if any(text.startswith("*", key.end()) for key in _KEY.finditer(text)):
        # An alias stands for a list with an anchor; it may be any of them.
        lists += _lists(_ANCHOR, text)
    for found in lists:
        yield from _NAME.findall(found)


def _lists(start: re.Pattern[str], text: str) -> Iterator[str]:
    """The lists after each match of `start`. What is inside a list is not searched again."""
    at = 0
    while match := start.search(text, at):
        at = match.end()
        found = _LIST.match(text, at)
        if found is not None:
            at = found.end()
            yield found[0]

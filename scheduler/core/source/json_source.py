"""The places of values and keys in a JSON text, for the problems that are found in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from orc.scheduler.core.source.paths import Path

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


def looks_like_json(text: str) -> bool:
    """Whether the text begins like a JSON object or array."""
    return text.lstrip("\ufeff \t\r\n")[:1] in ("{", "[")


def places_in(text: str) -> Iterator[tuple[Path, int, bool]]:
    """The path and the offset of each value and key in a text that is valid JSON.

    The flag says whether it is the place of a key.
    """
    path: list[str | int] = []
    kinds: list[str] = []
    is_key = False
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in "}]":
            kinds.pop()
            path.pop()
            is_key = False
        elif mark == ":":
            is_key = False
        elif mark == ",":
            if kinds[-1] == "[":
                index = path[-1]
                assert isinstance(index, int)
                path[-1] = index + 1
            is_key = kinds[-1] == "{"
        elif is_key:
            path[-1] = json.loads(mark)
            yield tuple(path), token.start(), True
        else:
            yield tuple(path), token.start(), False
            if mark in "{[":
                kinds.append(mark)
                path.append("" if mark == "{" else 0)
                is_key = mark == "{"

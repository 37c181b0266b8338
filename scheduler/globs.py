"""Glob patterns of files to capture: which paths match, and which folders may hold a match.

`*` and `?` match within one part of a path; `**` matches any number of parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache


class Globs:
    """Some patterns together."""

    def __init__(self, globs: Iterable[str]) -> None:
        self._patterns = [_Pattern.of(glob) for glob in globs]

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def match(self, path: str) -> bool:
        """Whether one of the patterns matches the path."""
        return any(pattern.whole.fullmatch(path) for pattern in self._patterns)

    def may_enter(self, folder: str) -> bool:
        """Whether a file below the folder can match."""
        parts = folder.split("/")
        return any(pattern.may_enter(parts) for pattern in self._patterns)


class _Pattern:
    def __init__(self, glob: str) -> None:
        *folders, name = glob.split("/")
        expression = "".join(
            "(?:[^/]+/)*" if part == "**" else _part_expression(part) + "/" for part in folders
        )
        expression += "(?:[^/]+/)*[^/]+" if name == "**" else _part_expression(name)
        self.whole = re.compile(expression)
        # None stands for any number of folders.
        self._folders = [
            None if part == "**" else re.compile(_part_expression(part))
            for part in (*folders, *(("**",) if name == "**" else ()))
        ]

    @classmethod
    @lru_cache(maxsize=256)
    def of(cls, glob: str) -> _Pattern:
        return cls(glob)

    def may_enter(self, parts: list[str]) -> bool:
        for place, part in enumerate(parts):
            if place == len(self._folders):
                return False
            pattern = self._folders[place]
            if pattern is None:
                return True
            if not pattern.fullmatch(part):
                return False
        return True


def _part_expression(part: str) -> str:
    wild = {"*": "[^/]*", "?": "[^/]"}
    return "".join(wild.get(character) or re.escape(character) for character in part)

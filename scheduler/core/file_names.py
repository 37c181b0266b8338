"""Finds paths that conflict on some file systems.

Two paths conflict when a file system that ignores case or Unicode normalization treats them as one
file, or when one path is a file and a parent folder of the other.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from msgspec import Struct, field


class FileNames(Struct):
    """A set of file paths. `clash` takes constant time, whatever the number of paths."""

    _files: dict[str, str] = field(default_factory=dict)
    _folders: dict[str, str] = field(default_factory=dict)

    def add(self, path: str) -> None:
        """Add a path."""
        self._files[_folded(path)] = path
        for folder in _folders_of(path):
            self._folders.setdefault(folder, path)

    def add_folder(self, path: str) -> None:
        """Add a folder, where no file may be."""
        for folder in (*_folders_of(path), _folded(path)):
            self._folders.setdefault(folder, path)

    def clash(self, path: str) -> str | None:
        """A path in the set that conflicts with this one, other than this path itself."""
        folded = _folded(path)
        there = self._files.get(folded)
        if there is not None and there != path:
            return there
        if folded in self._folders:
            return self._folders[folded]
        return next((self._files[name] for name in _folders_of(path) if name in self._files), None)

    def clash_of_folder(self, path: str) -> str | None:
        """A file in the set that is where this folder or one around it would be."""
        around = (_folded(path), *_folders_of(path))
        return next((self._files[name] for name in around if name in self._files), None)


def _folded(path: str) -> str:
    """The same text for all paths that a file system may treat as equal (Unicode 3.13, D145)."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def _folders_of(path: str) -> Iterator[str]:
    parts = _folded(path).split("/")
    for count in range(1, len(parts)):
        yield "/".join(parts[:count])

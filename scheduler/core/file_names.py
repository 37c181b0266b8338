"""Which paths can stand beside each other in one folder, on every disk.

Two paths clash when they are one file on a disk that ignores case or the form of
accents, or when one would have to be a file and a folder at once.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class FileNames:
    """The paths of some files; asking costs the same however many there are."""

    _files: dict[str, str] = field(default_factory=dict)
    _folders: dict[str, str] = field(default_factory=dict)

    def add(self, path: str) -> None:
        """Take in a path."""
        self._files[_folded(path)] = path
        for folder in _folders_of(path):
            self._folders.setdefault(folder, path)

    def clash(self, path: str) -> str | None:
        """A path that is there and that this one cannot stand beside; itself does not count."""
        folded = _folded(path)
        there = self._files.get(folded)
        if there is not None and there != path:
            return there
        if folded in self._folders:
            return self._folders[folded]
        return next((self._files[name] for name in _folders_of(path) if name in self._files), None)


def _folded(path: str) -> str:
    """One text for all that a disk may take for the same name (Unicode 3.13, D145)."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def _folders_of(path: str) -> Iterator[str]:
    parts = _folded(path).split("/")
    for count in range(1, len(parts)):
        yield "/".join(parts[:count])

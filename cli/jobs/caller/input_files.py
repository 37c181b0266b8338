"""Finds the files that an input names, and reads each of them once.

A path may have `*`, `?` and `**`. These match no hidden file and follow no link; a file that is
named as it is may be a link to a file.
"""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from msgspec import Struct

from orc.cli.jobs.caller.spool import PIECE_BYTES
from orc.ledger.errors import UnclearPath
from orc.ledger.files.written_paths import written_path
from orc.ledger.wording import number_text, size_text
from orc.scheduler.core.paths import path_problem
from orc.scheduler.folders.globs import Globs

FILES_MAX = 10_000
FILE_BYTES_MAX = 256 * 1024 * 1024
"""The largest file of an input that has no `max_size`."""
_DEPTH_MAX = 64
_NAMED_MAX = 3
_WILD = {"*", "?"}
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class NotThere(ValueError):
    """A file, or the folder of a pattern, is not there, or nothing in it matches."""


class FoundFile(Struct, frozen=True):
    """A file of an input: where it is, and its path below the folder of all files of the input.

    `is_named`: it was named as it is, and may be a link.
    """

    place: Path
    path: str
    is_named: bool


def find_files(patterns: list[tuple[str, Path]], *, allow_empty: bool) -> list[FoundFile]:
    """The files that match, sorted by path; each pattern comes with the folder of relative ones.

    Raises ValueError for a pattern without a file (unless `allow_empty`), a folder that cannot be
    read, a name that cannot be recorded, two files of one name, and too many files.
    """
    found: dict[Path, bool] = {}
    bases = []
    for pattern, folder in patterns:
        base, rest = _split(pattern, folder)
        bases.append(base)
        if not _is_wild(rest):
            found.setdefault(base / rest, True)
            continue
        search = _Search(base, rest)
        matches = search.run()
        if not matches and not allow_empty:
            raise NotThere(_no_match(pattern, base, search))
        for path in matches:
            found.setdefault(path, False)
        if len(found) > FILES_MAX:
            raise ValueError(
                f"{pattern} matches more than {number_text(FILES_MAX)} files; name fewer, or pack "
                "them into one file"
            )
    root = Path(os.path.commonpath(bases)) if bases else Path()
    files = [
        FoundFile(place, _recorded(place, root), is_named) for place, is_named in found.items()
    ]
    files.sort(key=lambda file: file.path)
    for file, other in pairwise(files):
        if file.path == other.path:
            raise ValueError(
                f"the names of {os.fsencode(file.place)!r} and {os.fsencode(other.place)!r} are the "
                "same text in two Unicode forms, and only one of them can be recorded; rename one"
            )
    return files


def read_pieces(file: FoundFile, *, bytes_max: int) -> Iterator[bytes]:
    """The bytes of a file in parts.

    Raises ValueError with the reason if it cannot be read, is no regular file, is too large, or
    changes while it is read.
    """
    shown = file.place
    try:
        fd = os.open(file.place, _FILE | (0 if file.is_named else os.O_NOFOLLOW))
    except OSError as error:
        raise _unreadable(str(shown), error) from None
    try:
        before = os.fstat(fd)
        reason = _refusal(before, shown, bytes_max)
        if reason:
            raise ValueError(reason)
    except BaseException:
        os.close(fd)
        raise
    with open(fd, "rb", buffering=0) as source:
        size = 0
        try:
            while piece := source.read(PIECE_BYTES):
                size += len(piece)
                if size > bytes_max:
                    raise ValueError(_too_large(shown, size, bytes_max))
                yield piece
        except OSError as error:
            raise ValueError(f"cannot read {shown}: {error.strerror}") from None
        after = os.fstat(fd)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns) or (
            size != after.st_size
        ):
            raise ValueError(f"{shown} was changed while it was read; give the command again")


def _is_folder(shown: Path) -> str:
    return f"{shown} is a folder; write {str(shown).rstrip('/')}/* for the files in it"


def _unreadable(what: str, error: OSError) -> ValueError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotThere(f"cannot read {what}: {error.strerror}; make it, or name another path")
    return ValueError(f"cannot read {what}: {error.strerror}")


def _refusal(found: os.stat_result, shown: Path, bytes_max: int) -> str:
    """Why a file is not read; empty if it is."""
    if stat.S_ISDIR(found.st_mode):
        return _is_folder(shown)
    if not stat.S_ISREG(found.st_mode):
        return (
            f"{shown} is not a regular file: a pipe or a device might never end; save its content "
            "to a file first"
        )
    return _too_large(shown, found.st_size, bytes_max) if found.st_size > bytes_max else ""


def _too_large(path: Path, size: int, bytes_max: int) -> str:
    return (
        f"{path} has {size_text(size)}, and a file of this input may have {size_text(bytes_max)}; "
        "set `max_size` of the input, or give its path as a text (`type: string`)"
    )


def _split(pattern: str, folder: Path) -> tuple[Path, str]:
    """The folder in which the search begins, and the rest of the pattern."""
    try:
        path = str(written_path(pattern))
    except UnclearPath as error:
        raise ValueError(str(error)) from None
    if not pattern.strip() or "\0" in pattern:
        raise ValueError(f"{pattern!r} is not the path of a file")
    is_folder = path != "/" and pattern.endswith("/")
    parts = (*Path(path).parts, "**") if is_folder else Path(path).parts
    fixed = 0
    while fixed < len(parts) - 1 and not _WILD & set(parts[fixed]):
        fixed += 1
    rest = "/".join(parts[fixed:])
    base = os.path.normpath(folder.joinpath(*parts[:fixed]))
    if rest in ("..", "."):
        base, rest = os.path.normpath(os.path.join(base, rest)), ""
    return Path(base), rest


def _is_wild(text: str) -> bool:
    return bool(_WILD & set(text))


class _Search:
    """The files below a folder that match a pattern; `links` are those that match and are links."""

    def __init__(self, base: Path, pattern: str) -> None:
        self._base = base
        self._globs = Globs((pattern,))
        self._sees_hidden = any(part.startswith(".") for part in pattern.split("/"))
        self.links: list[str] = []
        self._found: list[str] = []

    def run(self) -> list[Path]:
        """The paths, sorted. Raises ValueError for a folder that cannot be read."""
        try:
            fd = os.open(self._base, _FOLDER & ~os.O_NOFOLLOW)
        except OSError as error:
            raise _unreadable(f"the folder {self._base}", error) from None
        self._walk(fd, "", 0)
        return [self._base / path for path in sorted(self._found)]

    def _walk(self, fd: int, prefix: str, depth: int) -> None:
        """Walk by descriptors, so that replacing a folder by a link meanwhile has no effect."""
        try:
            with os.scandir(fd) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
            for entry in listed:
                path = f"{prefix}{entry.name}"
                if entry.name.startswith(".") and not self._sees_hidden:
                    continue
                if entry.is_symlink():
                    if self._globs.match(path):
                        self.links.append(path)
                elif entry.is_dir(follow_symlinks=False):
                    if depth < _DEPTH_MAX and self._globs.may_enter(path):
                        inner = os.open(entry.name, _FOLDER, dir_fd=fd)
                        self._walk(inner, f"{path}/", depth + 1)
                elif self._globs.match(path):
                    self._found.append(path)
        except OSError as error:
            where = self._base / prefix
            raise ValueError(f"cannot read the folder {where}: {error.strerror}") from None
        finally:
            os.close(fd)


def _no_match(pattern: str, base: Path, search: _Search) -> str:
    said = f"{pattern} matches no file in {base}"
    if search.links:
        named = ", ".join(search.links[:_NAMED_MAX])
        more = ", ..." if len(search.links) > _NAMED_MAX else ""
        return f"{said}: links are not followed ({named}{more}); name a link itself, or its target"
    return f"{said}; write `allow_empty: true` for an input that may have none"


def _recorded(place: Path, root: Path) -> str:
    """The path of a file below the root, as it is recorded. Raises ValueError."""
    if place == root or not place.is_relative_to(root):
        # `.`, `..` or `/`: it has no name below the root.
        raise ValueError(_is_folder(place))
    path = place.relative_to(root).as_posix()
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"the name of the file {os.fsencode(place)!r} is not UTF-8 text; rename the file"
        ) from None
    path = unicodedata.normalize("NFC", path)
    reason = path_problem(path)
    if reason:
        raise ValueError(f"{place} cannot be recorded: {reason}; rename the file")
    return path

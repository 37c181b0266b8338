"""Compares what a step declares under `files` with what its attempt left.

A name must be there as a regular file, or as a folder if it ends in `/`; a pattern without a match
is a warning. `required` says it otherwise. The scheduler and the agent on a worker compare and word
it alike.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from orc.worker.capture_rules import folder_glob, is_folder_name, is_name, matcher
from orc.worker.confined import list_files

INPUTS_FOLDER = ".inputs"
"""The folder in the working folder with the files of the job's inputs."""
_NAMED_MAX = 5
_LOOKED_AT_MAX = 1000
"""How many files of a folder are looked at for a message."""


@dataclass(frozen=True, slots=True)
class Declared:
    """An entry of `files` that captures. `required` is `no`, `name` or `yes`."""

    glob: str
    required: str = "no"

    @property
    def must_be_there(self) -> bool:
        """Whether the attempt fails if nothing matches."""
        return self.required == "yes" or (self.required == "name" and is_name(self.glob))


@dataclass(frozen=True, slots=True)
class Absent:
    """The entries that nothing matches: those that fail the attempt, and those that do not."""

    failing: tuple[Declared, ...]
    warned: tuple[Declared, ...]


def find_absent(
    declared: Iterable[Declared], files: Collection[str], folders: Collection[str]
) -> Absent:
    """The entries that match none of the regular files and of the folders that are there."""
    failing: list[Declared] = []
    warned: list[Declared] = []
    for entry in declared:
        if entry.required == "no" or _is_there(entry, files, folders):
            continue
        (failing if entry.must_be_there else warned).append(entry)
    return Absent(tuple(failing), tuple(warned))


def failure_message(absent: Sequence[Declared], root: Path) -> str:
    """Why the attempt fails, and what to do. `root` is the folder that the attempt left."""
    left = [path for path, _, is_regular in _looked_at(root) if is_regular]
    found = [f"{entry.glob!r} {_reason(entry.glob, root, left)}" for entry in absent[:_NAMED_MAX]]
    if len(absent) > _NAMED_MAX:
        found.append(f"and {len(absent) - _NAMED_MAX} more")
    return (
        f"declared under `files`: {'; '.join(found)}. {_listed(left)}. "
        "Write {glob: ..., required: false} for what may be missing"
    )


def warning_message(absent: Sequence[Declared]) -> str | None:
    """What to say of patterns without a match; None if there are none."""
    if not absent:
        return None
    named = ", ".join(repr(entry.glob) for entry in absent[:_NAMED_MAX])
    more = f" and {len(absent) - _NAMED_MAX} more patterns" * (len(absent) > _NAMED_MAX)
    return f"no file matches {named}{more}"


def folders_around(path: str) -> Iterator[str]:
    """The folders in which a file lies."""
    parts = path.split("/")
    for count in range(1, len(parts)):
        yield "/".join(parts[:count])


def _is_there(entry: Declared, files: Collection[str], folders: Collection[str]) -> bool:
    if not entry.glob.endswith("/"):
        if is_name(entry.glob):
            return entry.glob in files
        if any(map(matcher([entry.glob]), files)):
            return True
        return entry.required == "name" and any(map(folder_glob([entry.glob]), folders))
    if is_folder_name(entry.glob):
        return entry.glob.rstrip("/") in folders
    return any(map(folder_glob([entry.glob]), folders))


def _reason(glob: str, root: Path, left: list[str]) -> str:
    """Why nothing is there by that name, as the rest of a sentence."""
    if not is_name(glob):
        return "matches no file"
    name = glob.rstrip("/")
    path = root
    for part in name.split("/"):
        path = path / part
        here = "" if path == root / name else f"is not there: {path.relative_to(root).as_posix()} "
        try:
            found = os.lstat(path)
        except OSError:
            return f"is not there{_near(name, left)}"
        if stat.S_ISLNK(found.st_mode):
            return f"{here}is a link, which is not captured; copy what it points to"
        if here and not stat.S_ISDIR(found.st_mode):
            return f"{here}is not a folder"
    if stat.S_ISDIR(found.st_mode):
        return f"is a folder; write {name + '/'!r} to capture what is in it"
    if glob.endswith("/"):
        return f"is not a folder; write {name!r}"
    return "is not a regular file"


def _near(name: str, left: list[str]) -> str:
    from difflib import get_close_matches

    last = name.rpartition("/")[2]
    same = [path for path in left if path.rpartition("/")[2].casefold() == last.casefold()]
    near = same[:1] or get_close_matches(name, left, n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _listed(left: list[str]) -> str:
    if not left:
        return "The folder has no files"
    more = ", ..." if len(left) > _NAMED_MAX else ""
    return f"The folder has {', '.join(sorted(left)[:_NAMED_MAX])}{more}"


def _looked_at(root: Path) -> Iterable[tuple[str, os.stat_result, bool]]:
    return islice(list_files(root), _LOOKED_AT_MAX)

"""Finds what an attempt made or changed, by digest. Links and devices are never followed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from orc.worker.capture_rules import (
    FILES_MAX,
    folder_glob,
    folder_matcher,
    has_folder_glob,
    matcher,
    path_problem,
)
from orc.worker.confined import list_files, list_folders, open_file
from orc.worker.declared import Declared, failure_message, find_absent, warning_message
from orc.worker.file_modes import kept_mode
from orc.worker.problems import WorkBroken
from orc.worker.wire import FileItem

LISTED_MAX = 2_000_000
"""How many files an attempt may leave in its folders."""
_CHUNK = 1 << 20
_NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class Captured:
    """The files that are the result, empty folders that belong to it, and warnings about the rest."""

    files: list[FileItem]
    warnings: list[str]
    folders: list[str] = field(default_factory=list)


def stamps(folder: Path, files: Iterable[FileItem]) -> dict[str, tuple[int, ...]]:
    """A stamp of each input, by which a later change is seen without reading it."""
    return {file.path: _stamp(os.stat(folder / file.path, follow_symlinks=False)) for file in files}


def capture_changes(
    folder: Path,
    declared: Iterable[Declared],
    *,
    inputs: Iterable[FileItem],
    before: dict[str, tuple[int, ...]],
    file_bytes: int,
) -> Captured:
    """The files that match a glob and are new, or differ from the input of their path.

    Raises WorkBroken for a path that is not allowed, a file that is too large, or a declared one
    that is not there.
    """
    entries = tuple(declared)
    patterns = tuple(entry.glob for entry in entries)
    given = {file.path: file for file in inputs}
    if not entries and not given:
        return Captured([], [])
    found: list[FileItem] = []
    skipped: list[str] = []
    there: set[str] = set()
    matches = matcher(patterns)
    for count, (path, status, is_regular) in enumerate(
        list_files(folder, enters=folder_matcher(patterns))
    ):
        _check_count(count, LISTED_MAX)
        if not matches(path):
            continue
        if not is_regular:
            skipped.append(path)
            continue
        there.add(path)
        _check_path(path, "a file cannot be captured")
        file = _read(folder, path, status.st_size, file_bytes)
        if path in given and _is_same(given[path], file):
            continue
        _check_count(len(found), FILES_MAX)
        found.append(file)
    folders, empty = _folders(folder, patterns)
    absent = find_absent(entries, there, folders)
    if absent.failing:
        raise WorkBroken("schema", failure_message(absent.failing, folder))
    warnings = []
    missing = warning_message(absent.warned)
    if missing is not None:
        warnings.append(missing)
    if skipped:
        warnings.append(f"links and special files are not captured: {_named(skipped)}")
    changed = _undeclared(folder, given, before, {file.path for file in found})
    if changed:
        warnings.append(f"files of other steps were changed and not captured: {_named(changed)}")
    return Captured(found, warnings, empty)


def capture_all(folder: Path, *, file_bytes: int) -> Captured:
    """All regular files of a folder, such as the artifacts. Raises WorkBroken."""
    found = []
    for count, (path, status, is_regular) in enumerate(list_files(folder)):
        _check_count(count, FILES_MAX)
        if not is_regular:
            continue
        _check_path(path, "an artifact cannot be captured")
        found.append(_read(folder, path, status.st_size, file_bytes))
    return Captured(found, [])


def _folders(root: Path, globs: tuple[str, ...]) -> tuple[set[str], list[str]]:
    """The folders that the globs declare as such, and the empty ones of them."""
    if not has_folder_glob(globs):
        return set(), []
    declares = folder_glob(globs)
    found: set[str] = set()
    empty: list[str] = []
    for count, (path, is_empty) in enumerate(list_folders(root, enters=folder_matcher(globs))):
        _check_count(count, LISTED_MAX)
        if declares(path):
            found.add(path)
            if is_empty:
                _check_count(len(empty), FILES_MAX)
                _check_path(path, "a folder cannot be captured")
                empty.append(path)
    return found, sorted(empty)


def _undeclared(
    folder: Path,
    given: dict[str, FileItem],
    before: dict[str, tuple[int, ...]],
    captured: set[str],
) -> list[str]:
    changed = []
    for path, file in given.items():
        if path in captured:
            continue
        fd = open_file(folder, path)
        if fd is None:
            changed.append(path)
            continue
        try:
            is_same = _stamp(os.fstat(fd)) == before.get(path) or (
                _digest(fd, size_max=file.size_bytes)[0] == file.sha256
            )
        finally:
            os.close(fd)
        if not is_same:
            changed.append(path)
    return changed


def _is_same(given: FileItem, found: FileItem) -> bool:
    return given.sha256 == found.sha256


def _read(folder: Path, path: str, size: int, file_bytes: int) -> FileItem:
    if size > file_bytes:
        raise WorkBroken("path", f"{path} is larger than a captured file may be")
    fd = open_file(folder, path)
    if fd is None:
        raise WorkBroken("path", f"{path} was removed while orc read it")
    try:
        sha256, size = _digest(fd, size_max=file_bytes)
        mode = kept_mode(os.fstat(fd).st_mode)
    finally:
        os.close(fd)
    if size > file_bytes:
        raise WorkBroken("path", f"{path} is larger than a captured file may be")
    return FileItem(path, sha256, size, mode)


def _digest(fd: int, *, size_max: int | None = None) -> tuple[str, int]:
    digest = hashlib.sha256()
    size = 0
    while chunk := os.read(fd, _CHUNK):
        digest.update(chunk)
        size += len(chunk)
        if size_max is not None and size > size_max:
            # A process that left its group may write for ever.
            break
    return digest.hexdigest(), size


def _check_path(path: str, what: str) -> None:
    reason = path_problem(path)
    if reason:
        said = reason.encode("utf-8", "replace").decode("utf-8")
        raise WorkBroken("path", f"{what}: {said}")


def _check_count(count: int, most: int) -> None:
    if count >= most:
        raise WorkBroken("path", "the attempt left more files than can be captured")


def _named(paths: list[str]) -> str:
    names = ", ".join(
        path.encode("utf-8", "replace").decode("utf-8")[:80] for path in paths[:_NAMED_MAX]
    )
    return names + ", ..." * (len(paths) > _NAMED_MAX)


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

"""Reads and writes files inside one folder; never follows a link.

The command of an attempt, and what it left running, can change its folders at any time. So each
path is opened part by part from a descriptor, and only regular files are read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from orc.worker.capture_rules import DEPTH_MAX
from orc.worker.file_modes import open_unlocked
from orc.worker.problems import is_shortage

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def open_file(root: Path, relative: str) -> int | None:
    """A descriptor of a regular file to read; None if there is none."""
    try:
        with _parent(root, relative, create=False) as (parent, name):
            open_it = partial(os.open, name, _READ, dir_fd=parent)
            found = open_unlocked(name, parent, open_it)
    except OSError as error:
        if is_shortage(error):
            raise
        return None
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        return None
    return found


def read_piece(root: Path, relative: str, offset: int, length: int) -> bytes | None:
    """A piece of a regular file; None if there is no such file."""
    fd = open_file(root, relative)
    if fd is None:
        return None
    try:
        return os.pread(fd, length, offset)
    finally:
        os.close(fd)


def create_file(root: Path, relative: str) -> int:
    """A descriptor of a new file, to write and read. Raises OSError if a file is there."""
    with _parent(root, relative, create=True) as (parent, name):
        return os.open(name, _CREATE, 0o600, dir_fd=parent)


def write_all(fd: int, content: bytes) -> None:
    """Write all of the content. Raises OSError."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def list_files(
    root: Path, *, enters: Callable[[str], bool] = lambda folder: True
) -> Iterator[tuple[str, os.stat_result, bool]]:
    """The path and status of each file below a folder, and whether it is a regular file.

    What is neither a regular file nor a folder is listed, and never opened.
    """
    with _opened(root) as folder:
        yield from _walk(folder, "", enters, 0)


def list_folders(
    root: Path, *, enters: Callable[[str], bool] = lambda folder: True
) -> Iterator[tuple[str, bool]]:
    """The path of each folder below a folder, and whether it has neither a file nor a folder.

    Links do not count as either. Folders that cannot be read are left out.
    """
    with _opened(root) as folder:
        yield from _walk_folders(folder, list(_entries(folder)), "", enters, 0)


def _walk(
    folder: int | None, prefix: str, enters: Callable[[str], bool], depth: int
) -> Iterator[tuple[str, os.stat_result, bool]]:
    for name, found in _entries(folder):
        path = f"{prefix}{name}"
        if not stat.S_ISDIR(found.st_mode):
            yield path, found, stat.S_ISREG(found.st_mode)
        elif depth < DEPTH_MAX and enters(path):
            with _opened(name, folder) as inner:
                yield from _walk(inner, f"{path}/", enters, depth + 1)


def _walk_folders(
    folder: int | None,
    entries: list[tuple[str, os.stat_result]],
    prefix: str,
    enters: Callable[[str], bool],
    depth: int,
) -> Iterator[tuple[str, bool]]:
    for name, found in entries:
        path = f"{prefix}{name}"
        if not stat.S_ISDIR(found.st_mode) or depth == DEPTH_MAX:
            continue
        with _opened(name, folder) as inner:
            if inner is None:
                continue
            inside = list(_entries(inner))
            kinds = {stat.S_IFMT(each.st_mode) for _, each in inside}
            yield path, not kinds & {stat.S_IFREG, stat.S_IFDIR}
            if enters(path):
                yield from _walk_folders(inner, inside, f"{path}/", enters, depth + 1)


@contextmanager
def _opened(name: Path | str, folder: int | None = None) -> Iterator[int | None]:
    """A descriptor of a folder; None if it cannot be opened. Raises OSError for a shortage."""
    try:
        found = os.open(name, _DIRECTORY, dir_fd=folder)
    except OSError as error:
        if is_shortage(error):
            raise
        yield None
        return
    try:
        yield found
    finally:
        os.close(found)


def _entries(folder: int | None) -> Iterator[tuple[str, os.stat_result]]:
    """What is in a folder, sorted by name; nothing of what cannot be read, and of no folder."""
    try:
        names = [] if folder is None else sorted(os.listdir(folder))
    except OSError as error:
        if is_shortage(error):
            raise
        return
    for name in names:
        try:
            yield name, os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if is_shortage(error):
                raise


@contextmanager
def _parent(root: Path, relative: str, *, create: bool) -> Iterator[tuple[int, str]]:
    *parts, name = relative.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in (*parts, name)):
        raise OSError(errno.EINVAL, "not a plain relative path", relative)
    current = os.open(root, _DIRECTORY)
    try:
        for part in parts:
            if create:
                with suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=current)
            child = os.open(part, _DIRECTORY, dir_fd=current)
            os.close(current)
            current = child
        yield current, name
    finally:
        os.close(current)

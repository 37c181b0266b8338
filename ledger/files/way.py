"""Walks from the root to a file by descriptors, so that no name on the way is looked up twice."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from orc.ledger.files.written_paths import written_path

LEDGER_VARIABLE = "ORC_DB"
"""The environment variable with the path of the ledger."""

_LINKS_MAX = 40
# O_PATH needs no permission to read the folder. Closing such a descriptor drops no lock.
_FOLDER = (
    getattr(os, "O_PATH", getattr(os, "O_SEARCH", os.O_RDONLY))
    | os.O_DIRECTORY
    | os.O_NOFOLLOW
    | os.O_CLOEXEC
)


class Entry(NamedTuple):
    """A file, folder or link, and its status, not followed if it is a link."""

    path: Path
    status: os.stat_result


class Way(NamedTuple):
    """The way from the root to a file: each folder and each link on it, in the order of the walk.

    `folder` is the path of the folder that contains the file, without links and `..`, and `fd` its
    descriptor, open until the block ends. `name` is the file's name there; None if the way ends in
    the folder itself. `status` is that of the end of the way; None if there is nothing.
    """

    folder: Path
    fd: int
    name: str | None
    status: os.stat_result | None
    entries: tuple[Entry, ...]

    @property
    def path(self) -> Path:
        """The end of the way."""
        return self.folder if self.name is None else self.folder / self.name

    def beside(self, suffix: str) -> Entry | None:
        """The entry whose name is the file's name and `suffix`; None if there is none."""
        status = _status(f"{self.name}{suffix}", self.fd)
        return None if status is None else Entry(Path(f"{self.path}{suffix}"), status)


@contextmanager
def open_way(path: Path, *, is_folder: bool = False) -> Iterator[Way]:
    """Walk to the file `path`, which need not exist; with `is_folder`, into the folder `path`.

    Raises OSError if a folder on the way does not exist or cannot be entered.
    """
    walk = _Walk()
    try:
        yield walk.to(os.fspath(path.absolute()), is_folder=is_folder)
    finally:
        walk.close()


def real_path(path: Path) -> Path:
    """The path without links and `..`; it need not exist."""
    return Path(os.path.realpath(path))


def ledger_path(named: Path | None, environment: Mapping[str, str]) -> Path:
    """The real path of the ledger that is named, else of $ORC_DB, else of `runs.db` here.

    A link to nothing stays: messages name it. Raises UnclearPath.
    """
    variable = environment.get(LEDGER_VARIABLE) or "runs.db"
    path = named or written_path(variable, of=LEDGER_VARIABLE)
    is_dangling = path.is_symlink() and not path.exists()
    return path.absolute() if is_dangling else real_path(path)


def is_file_mount(way: Way) -> bool:
    """Whether the file is a mount of its own, on Linux: a bind mount of a single file."""
    if way.name is None or not hasattr(os, "O_PATH"):
        return False
    try:
        file = os.open(way.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=way.fd)
    except OSError:
        return False
    try:
        return _mount_of(file) != _mount_of(way.fd)
    finally:
        os.close(file)


def _mount_of(fd: int) -> bytes:
    try:
        about = os.open(f"/proc/self/fdinfo/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        lines = os.read(about, 4096).splitlines()
    finally:
        os.close(about)
    return next((line for line in lines if line.startswith(b"mnt_id:")), b"")


class _Walk:
    def __init__(self) -> None:
        self._fd = os.open("/", _FOLDER)
        self._real = Path("/")
        self._entries: list[Entry] = [Entry(self._real, os.fstat(self._fd))]

    def close(self) -> None:
        os.close(self._fd)

    def to(self, text: str, *, is_folder: bool) -> Way:
        left = [part for part in reversed(text.split("/")) if part]
        links = 0
        while left:
            name = left.pop()
            if name in (".", ".."):
                if name == "..":
                    self._enter(name, self._real.parent)
                continue
            status = _status(name, self._fd)
            if status is not None and stat.S_ISLNK(status.st_mode):
                links += 1
                if links > _LINKS_MAX:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), text)
                self._entries.append(Entry(self._real / name, status))
                target = os.readlink(name, dir_fd=self._fd)
                if target.startswith("/"):
                    self._enter("/", Path("/"))
                left += [part for part in reversed(target.split("/")) if part]
            elif left or is_folder:
                self._enter(name, self._real / name)
            else:
                return Way(self._real, self._fd, name, status, tuple(self._entries))
        return Way(self._real, self._fd, None, os.fstat(self._fd), tuple(self._entries))

    def _enter(self, name: str, real: Path) -> None:
        fd = os.open(name, _FOLDER, dir_fd=self._fd)
        os.close(self._fd)
        self._fd, self._real = fd, real
        self._entries.append(Entry(real, os.fstat(fd)))


def _status(name: str, folder: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None

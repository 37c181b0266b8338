"""Files in a folder that nothing may be written outside of.

Paths are walked part by part from the folder's own descriptor, and no
symbolic link on the way is followed. A file appears under its name whole:
temporary file, fsync, rename, fsync of the folder; new folders are synced too.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orc.ledger import failpoints

TEMPORARY_NAME = r"\.(?P<name>.+)\.(?P<pid>[0-9]+)-[0-9]+\.orc-tmp"
"""What the names of temporary files match: of which file, and of which process."""

DEPTH_MAX = 64
"""How deep folders are looked into; what lies deeper is passed over."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TEMPORARY = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class UnsafePath(OSError):
    """A path that leaves its folder, or goes through a link."""


class Folder:
    """A folder by its path; created when something is first written.

    With `within`, it is that folder in the one at the path, and no link on the way to it is
    followed either.
    `private` folders and files are for their owner alone, whatever the umask; a
    link that stands where one of their folders belongs is removed. Anywhere else
    it is somebody's, and refused. `publishes` says that it is the run folder's
    publisher that writes here.
    """

    def __init__(
        self, path: Path, *, within: str = "", private: bool = True, publishes: bool = False
    ) -> None:
        self.path = path
        self._prefix = f"{within}/" if within else ""
        self._publishes = publishes
        self._private = private
        self._folder_mode = 0o700 if private else 0o777
        self._file_mode = 0o600 if private else 0o666

    def create(self) -> None:
        """Make the folder and its parents, so that a power cut leaves them there."""
        missing = [self.path]
        while not missing[-1].exists() and missing[-1].parent != missing[-1]:
            missing.append(missing[-1].parent)
        for path in reversed(missing):
            if not path.is_dir():
                path.mkdir(mode=self._folder_mode, exist_ok=True)
                _sync_folder(path.parent)

    def write(self, relative: str, content: bytes) -> None:
        """Put a file there, whole or not at all, in place of what had its name.

        Raises UnsafePath, and OSError when the disk refuses.
        """
        with self._parent(relative, create=True) as (parent, name):
            temporary = f".{name[:60]}.{os.getpid()}-{threading.get_ident()}.orc-tmp"
            fd = _open_temporary(temporary, parent, self._file_mode)
            try:
                _write_all(fd, content)
                failpoints.hit("file.after_write")
                os.fsync(fd)
                failpoints.hit("file.after_fsync")
                os.close(fd)
                fd = -1
                _make_room(name, parent)
                if self._publishes:
                    failpoints.hit("publish.before_rename")
                os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                if fd >= 0:
                    os.close(fd)
                _unlink_quietly(temporary, parent)
                raise
            failpoints.hit("file.after_rename")
            os.fsync(parent)

    def read(self, relative: str, *, size_max: int | None = None, offset: int = 0) -> bytes | None:
        """The bytes of a regular file from `offset`, at most `size_max`; none where there is none."""
        try:
            with self._parent(relative) as (parent, name):
                fd = os.open(name, _FILE, dir_fd=parent)
        except OSError:
            return None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            return None
        with os.fdopen(fd, "rb") as file:
            file.seek(offset)
            return file.read() if size_max is None else file.read(size_max)

    def stat(self, relative: str) -> os.stat_result | None:
        """The status of a regular file; none when there is no such file."""
        try:
            with self._parent(relative) as (parent, name):
                found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except OSError:
            return None
        return found if stat.S_ISREG(found.st_mode) else None

    def files(self, under: str = "") -> Iterator[str]:
        """The relative paths of all regular files, sorted, or of those under one folder.

        Links are neither followed nor listed, the folder `under` included.
        """
        try:
            with self._parent(f"{under}/any" if under else "any") as (folder, _):
                yield from sorted(_walk(folder, f"{under}/" if under else ""))
        except OSError:
            return

    def create_folder(self, relative: str) -> None:
        """Make a folder in this one; a link in its place gives way where `write` lets it."""
        with self._parent(f"{relative}/any", create=True):
            pass

    def remove(self, relative: str) -> None:
        """Remove a file if it is there."""
        try:
            with self._parent(relative) as (parent, name):
                os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return

    @contextmanager
    def _parent(self, relative: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
        """The descriptor of the file's folder, and the file's name in it."""
        *parts, name = _split(self._prefix + relative)
        if create:
            self.create()
        current = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                if create and self._private:
                    _remove_link(part, current)
                following = _enter(part, current, mode=self._folder_mode if create else None)
                os.close(current)
                current = following
            yield current, name
        finally:
            os.close(current)


def _split(relative: str) -> list[str]:
    parts = relative.split("/")
    if not relative or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise UnsafePath(errno.EINVAL, "not a plain relative path", relative)
    return parts


def _enter(part: str, parent: int, *, mode: int | None) -> int:
    try:
        return os.open(part, _DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        if mode is None:
            raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise UnsafePath(errno.ENOTDIR, "a link or a file stands in the way", part) from error
        raise
    with suppress(FileExistsError):
        os.mkdir(part, mode, dir_fd=parent)
    # A file is no better kept than the names on the way to it.
    os.fsync(parent)
    return os.open(part, _DIRECTORY, dir_fd=parent)


def _remove_link(part: str, parent: int) -> None:
    try:
        found = os.stat(part, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode):
        os.unlink(part, dir_fd=parent)


def _open_temporary(name: str, parent: int, mode: int) -> int:
    try:
        return os.open(name, _TEMPORARY, mode, dir_fd=parent)
    except FileExistsError:
        # Left by a process that was killed here, and had the same number.
        os.unlink(name, dir_fd=parent)
        return os.open(name, _TEMPORARY, mode, dir_fd=parent)


def _make_room(name: str, parent: int) -> None:
    """An empty folder under the file's name gives way; anything in it is kept and said."""
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        os.rmdir(name, dir_fd=parent)


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_all(fd: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def _unlink_quietly(name: str, parent: int) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except OSError:
        return


def _walk(folder: int, prefix: str, depth: int = 0) -> Iterator[str]:
    """The regular files below, by descriptors: what is a folder now is no link a moment later."""
    try:
        with os.scandir(folder) as found:
            entries = [
                (entry.name, entry.is_file(follow_symlinks=False))
                for entry in found
                if entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return
    for name, is_file in entries:
        if is_file:
            yield f"{prefix}{name}"
            continue
        if depth == DEPTH_MAX:
            continue
        try:
            inner = os.open(name, _DIRECTORY, dir_fd=folder)
        except OSError:
            continue
        try:
            yield from _walk(inner, f"{prefix}{name}/", depth + 1)
        finally:
            os.close(inner)

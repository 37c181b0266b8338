"""File access that is confined to one folder, with durable, atomic writes.

Paths are opened part by part from the folder's descriptor, and symbolic links are not
followed. A write goes to a temporary file, then fsync, rename, and fsync of the folder; new
folders are synced, too. A file that cannot be opened because the machine has run out of
something (`ledger/scarcity.py`) is not taken for a file that is not there.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from orc.ledger import failpoints
from orc.ledger.digest import Digest
from orc.ledger.files.descriptors import open_regular, sync_folder, write_all
from orc.ledger.files.temporary import TEMPORARY_NAME, hold, temporary_name
from orc.ledger.scarcity import raise_shortage
from orc.worker.file_modes import open_unlocked

DEPTH_MAX = 64
"""The maximum depth of listed folders; deeper files are left out."""

_TRIES_MAX = 100
_PIECE_BYTES = 1024 * 1024
_NO_MODES = (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TEMPORARY = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class UnsafePath(OSError):
    """A path leaves its folder or goes through a symbolic link."""


class Folder:
    """A folder, created at the first write.

    With `within`, it is that subfolder of `path`, and links between the two are not followed
    either. With `private`, folders and files are accessible to their owner only, whatever
    the umask, and a link in place of one of the folders is removed. Without `private`, such
    a link belongs to the user and is refused. `publishes` enables the failpoint of the run
    folder's publisher.
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
        """Create the folder and its parents, durably."""
        missing = [self.path]
        while not missing[-1].exists() and missing[-1].parent != missing[-1]:
            missing.append(missing[-1].parent)
        for path in reversed(missing):
            if not path.is_dir():
                path.mkdir(mode=self._folder_mode, exist_ok=True)
                sync_folder(path.parent)

    def write(self, relative: str, content: bytes) -> None:
        """Write a file atomically; replaces an existing file.

        Raises UnsafePath, and OSError if the disk refuses the write.
        """
        self.write_parts(relative, (content,))

    def write_parts(
        self, relative: str, parts: Iterable[bytes], *, mode: int | None = None
    ) -> None:
        """Write a file of any size as `write` does; `mode` are its permission bits, if it has its own.

        If `parts` raises, nothing is written.
        """
        with self._parent(relative, create=True) as (parent, name):
            temporary = temporary_name(name)
            fd = _open_temporary(temporary, parent, self._file_mode)
            try:
                for part in parts:
                    write_all(fd, part)
                if mode is not None:
                    _set_mode(fd, mode)
                failpoints.hit("file.after_write")
                os.fsync(fd)
                failpoints.hit("file.after_fsync")
                os.close(fd)
                fd = -1
                _remove_empty_folder(name, parent)
                if self._publishes:
                    failpoints.hit("publish.before_rename")
                os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                if fd >= 0:
                    os.close(fd)
                _unlink_quietly(temporary, parent)
                raise
            failpoints.hit("file.after_rename")
            sync_folder(parent)

    def read(self, relative: str, *, size_max: int | None = None, offset: int = 0) -> bytes | None:
        """At most `size_max` bytes of a regular file from `offset`; None if there is no such file.

        Raises OSError only if the machine lacks something (`ledger/scarcity.py`).
        """
        file = self.open(relative)
        if file is None:
            return None
        with file:
            file.seek(offset)
            return _read_all(file, size_max)

    def open(self, relative: str, *, unlock: bool = False) -> BinaryIO | None:
        """A regular file, unbuffered, to read; None if there is no such file. Raises as `read`.

        With `unlock`, a file that its owner may not read is opened, too.
        """
        try:
            with self._parent(relative) as (parent, name):
                open_it = partial(open_regular, name, folder=parent)
                fd = open_unlocked(name, parent, open_it) if unlock else open_it()
        except OSError as error:
            raise_shortage(error)
            return None
        return os.fdopen(fd, "rb", buffering=0)

    def digest(self, relative: str) -> Digest | None:
        """The SHA-256 of a regular file of any size; None if there is no such file. Raises as `read`."""
        file = self.open(relative)
        if file is None:
            return None
        with file:
            return Digest(hashlib.file_digest(file, "sha256").hexdigest())  # type: ignore[arg-type]

    def set_mode(self, relative: str, mode: int) -> None:
        """Set the permission bits of a regular file, if it exists. Raises OSError."""
        file = self.open(relative)
        if file is not None:
            with file:
                _set_mode(file.fileno(), mode)

    def stat(self, relative: str) -> os.stat_result | None:
        """The status of a regular file; None if there is no such file."""
        try:
            with self._parent(relative) as (parent, name):
                found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            raise_shortage(error)
            return None
        return found if stat.S_ISREG(found.st_mode) else None

    def files(
        self,
        under: str = "",
        *,
        enters: Callable[[str], bool] = lambda folder: True,
        others: list[str] | None = None,
    ) -> Iterator[str]:
        """The sorted relative paths of all regular files, or of those in the folder `under`.

        Links are neither followed nor listed, even if `under` is one. Folders below it are left out
        if `enters` is false for their path. `others` gets the paths of links and special files.
        """
        try:
            with self._parent(f"{under}/any" if under else "any") as (folder, _):
                yield from sorted(_walk(folder, f"{under}/" if under else "", enters, others))
        except OSError as error:
            raise_shortage(error)

    def create_folder(self, relative: str) -> None:
        """Create a subfolder. A link in its place is treated as in `write`."""
        with self._parent(f"{relative}/any", create=True):
            pass

    def has_folder(self, relative: str) -> bool:
        """Whether there is such a subfolder, and no link in its place. Raises as `read`."""
        try:
            with self._parent(f"{relative}/any"):
                return True
        except OSError as error:
            raise_shortage(error)
            return False

    def remove(self, relative: str) -> None:
        """Remove a file if it exists."""
        try:
            with self._parent(relative) as (parent, name):
                os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return

    def sweep(self) -> None:
        """Remove all temporary files. Only for the one process that writes to the folder."""
        for relative in list(self.files()):
            if TEMPORARY_NAME.fullmatch(relative.rpartition("/")[2]):
                self.remove(relative)

    @contextmanager
    def _parent(self, relative: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
        """The descriptor of the folder that contains the file, and the file's name."""
        *parts, name = _split(self._prefix + relative)
        if create:
            self.create()
        current = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                if create and self._private:
                    _remove_link(part, current)
                child = _enter(part, current, mode=self._folder_mode if create else None)
                os.close(current)
                current = child
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
            raise UnsafePath(errno.ENOTDIR, "a link or a file is in the way", part) from error
        raise
    with suppress(FileExistsError):
        os.mkdir(part, mode, dir_fd=parent)
    # A file is durable only if the entries of its parent folders are.
    sync_folder(parent)
    return os.open(part, _DIRECTORY, dir_fd=parent)


def _remove_link(part: str, parent: int) -> None:
    try:
        found = os.stat(part, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode):
        os.unlink(part, dir_fd=parent)


def _open_temporary(name: str, parent: int, mode: int) -> int:
    """Create the temporary file and lock it; its descriptor."""
    for _ in range(_TRIES_MAX):
        with suppress(FileNotFoundError):
            # A killed process with the same process id may have left this file.
            os.unlink(name, dir_fd=parent)
        fd = os.open(name, _TEMPORARY, mode, dir_fd=parent)
        try:
            if hold(fd):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
    raise OSError(errno.EBUSY, "another process removes new files here", name)


def _remove_empty_folder(name: str, parent: int) -> None:
    """Remove an empty folder that has the file's name. Raises OSError if it is not empty."""
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        os.rmdir(name, dir_fd=parent)


def _read_all(file: BinaryIO, size_max: int | None) -> bytes:
    pieces = []
    left = sys.maxsize if size_max is None else size_max
    while left and (piece := file.read(min(left, _PIECE_BYTES))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _set_mode(fd: int, mode: int) -> None:
    """Set the permission bits, where the filesystem has any."""
    try:
        os.fchmod(fd, mode & 0o777)
    except OSError as error:
        if error.errno not in _NO_MODES:
            raise


def _unlink_quietly(name: str, parent: int) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except OSError:
        return


def _walk(
    folder: int,
    prefix: str,
    enters: Callable[[str], bool],
    others: list[str] | None,
    depth: int = 0,
) -> Iterator[str]:
    """The regular files below a folder.

    It walks by descriptors, so that replacing a folder by a link in the meantime has no effect.
    """
    try:
        with os.scandir(folder) as found:
            entries = []
            for entry in found:
                is_file = entry.is_file(follow_symlinks=False)
                if is_file or entry.is_dir(follow_symlinks=False):
                    entries.append((entry.name, is_file))
                elif others is not None:
                    others.append(f"{prefix}{entry.name}")
    except OSError as error:
        raise_shortage(error)
        return
    for name, is_file in entries:
        if is_file:
            yield f"{prefix}{name}"
            continue
        if depth == DEPTH_MAX or not enters(f"{prefix}{name}"):
            continue
        try:
            inner = os.open(name, _DIRECTORY, dir_fd=folder)
        except OSError as error:
            raise_shortage(error)
            continue
        try:
            yield from _walk(inner, f"{prefix}{name}/", enters, others, depth + 1)
        finally:
            os.close(inner)

"""Keeps large files beside a ledger, each in a file of its own: `runs.db.files/aa/<sha256>`.

`aa` are the first two digits of the digest. A file is written under a temporary name, synced and
renamed before the event that names it is committed, so that a committed event never lacks its file;
a file that no event names is a leftover of a killed process. `blob_rows.py` says how a row of the
table `blobs` refers to such a file. This module does not use SQLite, and any thread may call it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from orc.ledger import failpoints
from orc.ledger.digest import Digest
from orc.ledger.errors import CorruptLedger, ExposedFiles, StorageError
from orc.ledger.files.descriptors import sync_folder
from orc.ledger.files.exposure import examine_folder
from orc.ledger.files.temporary import Leftover, find_leftovers, hold, sweep

SUFFIX = ".files"
"""The name of the folder is that of the ledger with this suffix."""
CHUNK_BYTES = 1024 * 1024
"""The size of the parts in which files are read."""

_DIGEST = re.compile("[0-9a-f]{64}")
_FOLDER_NAME = re.compile("[0-9a-f]{2}")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TRIES_MAX = 100
_ABSENT = (errno.ENOENT, errno.ENOTDIR)


class StoredFile(Struct, frozen=True):
    """A file that is in the store."""

    sha256: Digest
    size_bytes: int


class FileStore:
    """The large files of the ledger at `ledger`, which is a path without links.

    `is_shared` allows to add files to a folder that other users can change, as that of a backup.
    """

    def __init__(self, ledger: Path, *, is_shared: bool = False) -> None:
        self.path = ledger.with_name(ledger.name + SUFFIX)
        self._is_examined = False
        self._is_shared = is_shared

    def add(self, chunks: Iterable[bytes]) -> StoredFile:
        """Store the bytes durably; if they are there already, they are written anew.

        The first call also removes what killed processes left. Raises ExposedFiles if another user
        could change the folder, OSError if the disk refuses the write, and what `chunks` raises.
        """
        self._prepare()
        with _opened(self.path) as folder:
            name, fd = _new_temporary(folder)
            try:
                stored = _write(fd, chunks)
                os.fchmod(fd, 0o400)
                os.fsync(fd)
                _place(name, folder, stored.sha256)
            except BaseException:
                with suppress(OSError):
                    os.unlink(name, dir_fd=folder)
                raise
            finally:
                os.close(fd)
        failpoints.hit("store.file_placed")
        return stored

    def open(self, digest: str) -> BinaryIO:
        """The file, opened for reading. Its content is not compared with the digest.

        Raises CorruptLedger if it is missing or is no regular file, ExposedFiles if it belongs to
        neither the folder's owner nor this user nor root, and OSError.
        """
        try:
            with self._folder_of(digest) as (parent, owner):
                fd = os.open(digest, _FILE, dir_fd=parent)
        except OSError as error:
            if error.errno in _ABSENT:
                raise CorruptLedger(self._missing(digest)) from None
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise CorruptLedger(self._no_file(digest)) from None
            raise
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise CorruptLedger(self._no_file(digest))
            if found.st_uid not in (owner, os.geteuid(), 0):
                raise ExposedFiles(
                    f"{self._path_of(digest)} belongs to another user than its folder; remove it, and "
                    "copy it from where the ledger was made",
                    is_trustable=False,
                )
            return os.fdopen(fd, "rb")
        except BaseException:
            os.close(fd)
            raise

    def chunks(self, digest: str) -> Iterator[bytes]:
        """The content in parts, compared with the digest.

        Raises what `open` raises, and CorruptLedger after the last part if the content differs.
        """
        found = hashlib.sha256()
        with self.open(digest) as file:
            while chunk := file.read(CHUNK_BYTES):
                found.update(chunk)
                yield chunk
        if found.hexdigest() != digest:
            raise CorruptLedger(self._changed(digest))

    def size(self, digest: str) -> int | None:
        """The size of the file in bytes; None if the store does not have it."""
        try:
            with self._folder_of(digest) as (parent, _):
                found = os.stat(digest, dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            if error.errno in (*_ABSENT, errno.ELOOP):
                return None
            raise
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def has(self, digest: str) -> bool:
        """Whether the store has the file."""
        return self.size(digest) is not None

    def remove(self, digest: str) -> bool:
        """Remove the file durably; whether it was there. Raises OSError."""
        try:
            with self._folder_of(digest) as (parent, _):
                os.unlink(digest, dir_fd=parent)
                sync_folder(parent)
        except OSError as error:
            if error.errno in (*_ABSENT, errno.ELOOP):
                return False
            raise
        return True

    def digests(self) -> Iterator[str]:
        """The digests of all files of the store, sorted."""
        try:
            with _opened(self.path) as folder:
                for name in sorted(filter(_FOLDER_NAME.fullmatch, os.listdir(folder))):
                    yield from _digests_in(name, folder)
        except OSError as error:
            if error.errno not in (*_ABSENT, errno.ELOOP):
                raise

    def leftovers(self) -> Iterator[Leftover]:
        """The temporary files of the store."""
        return find_leftovers(self.path)

    def sweep(self) -> None:
        """Remove the temporary files of processes that have ended."""
        sweep(self.path)

    def _prepare(self) -> None:
        """Create the folder, and examine it once."""
        if not os.path.lexists(self.path):
            with suppress(FileExistsError):
                os.mkdir(self.path, 0o700)
            self._sync_parent()
        if not self._is_examined:
            if not self._is_shared:
                examine_folder(self.path).refuse(f"orc does not write to {self.path}")
            self.sweep()
            self._is_examined = True

    def _sync_parent(self) -> None:
        fd = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync_folder(fd)
        finally:
            os.close(fd)

    @contextmanager
    def _folder_of(self, digest: str) -> Iterator[tuple[int, int]]:
        """The descriptor of the folder that contains the file, and the user who owns the store."""
        # Digests come from rows that others may have written, and become a part of a path.
        if not _DIGEST.fullmatch(digest):
            raise CorruptLedger(f"{self.path}: {digest[:80]!r} is not a SHA-256")
        with _opened(self.path) as folder, _opened(digest[:2], folder) as inner:
            yield inner, os.fstat(folder).st_uid

    def _path_of(self, digest: str) -> Path:
        return self.path / digest[:2] / digest

    def _missing(self, digest: str) -> str:
        if not self.path.is_dir():
            return (
                f"file {digest[:12]}... is missing, because there is no folder {self.path}: it belongs "
                "to the ledger; copy it together with the ledger (orc backup does)"
            )
        return f"{self._path_of(digest)} is missing; restore it from a backup"

    def _changed(self, digest: str) -> str:
        return (
            f"{self._path_of(digest)} was changed: its digest does not match its name; restore it "
            "from a backup"
        )

    def _no_file(self, digest: str) -> str:
        return f"{self._path_of(digest)} is not a regular file; restore it from a backup"


@contextmanager
def _opened(path: Path | str, folder: int | None = None) -> Iterator[int]:
    fd = os.open(path, _FOLDER, dir_fd=folder)
    try:
        yield fd
    finally:
        os.close(fd)


def _new_temporary(folder: int) -> tuple[str, int]:
    """Create a locked temporary file in the open folder; its name and its descriptor."""
    for _ in range(_TRIES_MAX):
        name = f".file.{os.getpid()}-{int.from_bytes(os.urandom(6))}.orc-tmp"
        fd = os.open(name, _NEW, 0o600, dir_fd=folder)
        try:
            if hold(fd):
                return name, fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
    raise OSError(errno.EBUSY, "another process removes new files here", name)


def _write(fd: int, chunks: Iterable[bytes]) -> StoredFile:
    found, size = hashlib.sha256(), 0
    for chunk in chunks:
        found.update(chunk)
        size += len(chunk)
        view = memoryview(chunk)
        while view:
            view = view[os.write(fd, view) :]
    if size == 0:
        # In the table `blobs`, a row without bytes and of size 0 is an empty file, not a stored one.
        raise StorageError("an empty file is kept in the ledger itself, not beside it")
    return StoredFile(Digest(found.hexdigest()), size)


def _place(name: str, folder: int, digest: str) -> None:
    """Rename the temporary file to its digest, durably."""
    with suppress(FileExistsError):
        os.mkdir(digest[:2], 0o700, dir_fd=folder)
        sync_folder(folder)
    with _opened(digest[:2], folder) as inner:
        os.replace(name, digest, src_dir_fd=folder, dst_dir_fd=inner)
        sync_folder(inner)


def _digests_in(name: str, folder: int) -> Iterator[Digest]:
    try:
        with _opened(name, folder) as inner:
            found = sorted(os.listdir(inner))
    except OSError as error:
        if error.errno not in (*_ABSENT, errno.ELOOP):
            raise
        return
    for digest in found:
        if _DIGEST.fullmatch(digest) and digest.startswith(name):
            yield Digest(digest)

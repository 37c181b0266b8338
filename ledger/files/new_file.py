"""Writes new files atomically, readable only by their owner, without replacing files by accident.

A file is made in a private folder beside its target and then gets its name. What a killed process
left there is removed by the next command that writes the same target.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from orc.ledger import failpoints
from orc.ledger.errors import FileIsThere, NoFolder, StorageError
from orc.ledger.files.descriptors import (
    is_descriptor,
    open_regular,
    sync_file,
    sync_folder,
    write_all,
)
from orc.ledger.files.private_folder import COPY, PrivateFolder
from orc.ledger.files.temporary import LOCK_NAME, discard, find_leftovers, workplace

_MADE = "new"
_PLACED = "placed"
_PIECE = 1 << 20
_NO_LINKS = (
    errno.EPERM,
    errno.EACCES,
    errno.EMLINK,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EINVAL,
    errno.EXDEV,
)
"""What `link` fails with on filesystems without hard links: FAT, some network and FUSE mounts."""


def write_new_file(
    target: Path, make: Callable[[Path], None], *, force: bool, what: str = ""
) -> None:
    """Call `make` to fill an empty temporary file, sync it, and rename it to `target`.

    `make` may create further files beside the temporary file; they are removed. With `force` an
    existing file is replaced. `what` names the content: a file that a killed process had just put
    there is replaced by the same content only. To a descriptor, such as `/dev/stdout`, the content is
    copied when it is complete. Raises FileIsThere, NoFolder, StorageError.
    """
    if is_descriptor(target):
        _write_to_descriptor(target, make)
        return
    refuse_existing(target, force=force, what=what)
    is_taken_over = _is_left_by_killed(target, what)
    try:
        _sweep(target, except_for=what if is_taken_over else None)
        with workplace(target, what) as folder:
            temporary = folder / _MADE
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            failpoints.hit("new_file.before_make")
            make(temporary)
            sync_file(temporary)
            failpoints.hit("new_file.made")
            if is_taken_over:
                _note_target(temporary, target)
            if force or is_taken_over:
                os.replace(temporary, target)
            else:
                _place(temporary, target)
            failpoints.hit("new_file.placed")
            sync_folder(target.parent)
            _sweep(target, except_for=None)
    except FileExistsError as error:
        raise FileIsThere(_is_there(target)) from error
    except OSError as error:
        raise StorageError(f"{target}: {error.strerror or error}") from error


def write_new_bytes(target: Path, content: bytes, *, force: bool, what: str = "") -> None:
    """Write `content` to a new file as `write_new_file` does, and raise what it raises."""

    def fill(path: Path) -> None:
        path.write_bytes(content)

    write_new_file(target, fill, force=force, what=what)


def _write_to_descriptor(target: Path, make: Callable[[Path], None]) -> None:
    try:
        private = PrivateFolder(COPY)
        try:
            temporary = private.path / _MADE
            temporary.touch(0o600)
            make(temporary)
            with temporary.open("rb") as made, target.open("wb", buffering=0) as stream:
                while piece := made.read(_PIECE):
                    write_all(stream.fileno(), piece)
        finally:
            private.cleanup()
    except BrokenPipeError:
        # The reader has closed the pipe, which is no error.
        raise
    except OSError as error:
        raise StorageError(f"{target}: {error.strerror or error}") from error


def require_folder(path: Path) -> None:
    """Raise NoFolder if the parent folder of `path` does not exist."""
    if not path.parent.is_dir():
        raise NoFolder(f"{path}: its folder does not exist; create it first")


def refuse_existing(target: Path, *, force: bool, what: str = "") -> None:
    """Check before any work that a new file can be written here. Raises FileIsThere, NoFolder.

    A file that a killed process had just put there is not refused: the same command completes it.
    """
    if is_descriptor(target):
        return
    require_folder(target)
    if not os.path.lexists(target):
        return
    if obstacle_at(target) is not None or not (force or _is_left_by_killed(target, what)):
        raise FileIsThere(_is_there(target))


def obstacle_at(path: Path) -> str | None:
    """What is at the path instead of a regular file; None if one is there, or nothing."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISLNK(mode):
        return "a link"
    return "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"


def _place(temporary: Path, target: Path) -> None:
    """Give the file its name. Raises FileExistsError if the name was taken in the meantime."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _place_reserved(temporary, target)


def _place_reserved(temporary: Path, target: Path) -> None:
    """The same without hard links: an empty file reserves the name, and is then replaced."""
    _note_target(temporary, target)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    failpoints.hit("new_file.reserved")
    try:
        os.replace(temporary, target)
    except OSError:
        target.unlink()
        raise


def _note_target(temporary: Path, target: Path) -> None:
    """Note beside the new file which file the target is after the next operation: its digest."""
    note = temporary.with_name(_PLACED)
    note.write_bytes(_digest(temporary) + b" " + os.fsencode(target.name))
    sync_file(note)
    failpoints.hit("new_file.noted")


def _digest(path: Path) -> bytes:
    with open(open_regular(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().encode()


def _sweep(target: Path, *, except_for: str | None) -> None:
    """Remove what killed processes left for the target, except for what has become this content."""
    for left in find_leftovers(target.parent, [target.name]):
        if left.is_dead and (except_for is None or not _became(left.path, target, except_for)):
            discard(left.path)


def _is_left_by_killed(target: Path, what: str) -> bool:
    """Whether a killed process that wrote `what` had just given the target its name."""
    return any(
        left.is_dead and _became(left.path, target, what)
        for left in find_leftovers(target.parent, [target.name])
    )


def _became(folder: Path, target: Path, what: str) -> bool:
    """Whether the target is the file that was made in this folder, or is reserved for it."""
    made, note = folder / _MADE, folder / _PLACED
    with suppress(OSError):
        if obstacle_at(target) is not None:
            return False
        if (folder / LOCK_NAME).read_bytes() != what.encode(errors="surrogateescape"):
            return False
        if made.exists() and made.samefile(target):
            return True
        digest, _, name = note.read_bytes().partition(b" ")
        if name != os.fsencode(target.name):
            return False
        # A file that only reserves the name is empty, and so there is nothing to lose in it.
        return target.stat().st_size == 0 if made.exists() else _digest(target) == digest
    return False


def _is_there(target: Path) -> str:
    obstacle = obstacle_at(target)
    if obstacle is not None:
        return f"{target} exists already and is {obstacle}; name another file"
    return f"{target} exists already; name another file, or add --force to replace it"

"""Writes new files atomically, readable only by their owner, without replacing files by accident."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from orc.ledger.errors import FileIsThere, NoFolder, StorageError


def write_new_file(target: Path, make: Callable[[Path], None], *, force: bool) -> None:
    """Call `make` to fill an empty temporary file, sync it, and rename it to `target`.

    With `force` it replaces an existing file. Raises FileIsThere, NoFolder, StorageError.
    """
    refuse_existing(target, force=force)
    temporary = target.with_name(f".{target.name[:60]}.{os.getpid()}.orc-tmp")
    try:
        with suppress(FileNotFoundError):
            # A killed process with the same process id may have left this file.
            temporary.unlink()
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            make(temporary)
            _sync(temporary)
            if force:
                os.replace(temporary, target)
            else:
                # If the name was taken in the meantime, link() fails; rename() would replace it.
                os.link(temporary, target)
        except FileExistsError as error:
            raise FileIsThere(_is_there(target)) from error
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        _sync(target.parent)
    except OSError as error:
        raise StorageError(f"{target}: {error.strerror or error}") from error


def write_new_bytes(target: Path, content: bytes, *, force: bool) -> None:
    """Write `content` to a new file as `write_new_file` does, and raise what it raises."""

    def fill(path: Path) -> None:
        path.write_bytes(content)

    write_new_file(target, fill, force=force)


def require_folder(path: Path) -> None:
    """Raise NoFolder if the parent folder of `path` does not exist."""
    if not path.parent.is_dir():
        raise NoFolder(f"{path}: its folder does not exist; create it first")


def refuse_existing(target: Path, *, force: bool) -> None:
    """Check before any work that a new file can be written here. Raises FileIsThere, NoFolder."""
    require_folder(target)
    if os.path.lexists(target) and (not force or not target.is_file() or target.is_symlink()):
        raise FileIsThere(_is_there(target))


def _is_there(target: Path) -> str:
    return f"{target} exists already; name another file, or add --force to replace a file"


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

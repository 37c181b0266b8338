"""A new file: whole or not at all, for its owner alone, and never over another one by chance."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from orc.ledger.errors import FileIsThere, NoFolder, StorageError


def write_new_file(target: Path, make: Callable[[Path], None], *, force: bool) -> None:
    """Have `make` fill an empty file of a temporary name, sync it, and give it its name.

    With `force` it replaces a file that is there. Raises FileIsThere, StorageError.
    """
    refuse_existing(target, force=force)
    temporary = target.with_name(f".{target.name[:60]}.{os.getpid()}.orc-tmp")
    try:
        with suppress(FileNotFoundError):
            # Left by a process that was killed here, and had the same number.
            temporary.unlink()
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            make(temporary)
            _sync(temporary)
            if force:
                os.replace(temporary, target)
            else:
                # A link is refused where a name has been taken meanwhile; a rename is not.
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
    """The same, for a file whose bytes are at hand. Raises what `write_new_file` raises."""

    def fill(path: Path) -> None:
        path.write_bytes(content)

    write_new_file(target, fill, force=force)


def require_folder(path: Path) -> None:
    """Raise NoFolder where the folder of a new file is not there."""
    if not path.parent.is_dir():
        raise NoFolder(f"{path}: its folder does not exist; create it first")


def refuse_existing(target: Path, *, force: bool) -> None:
    """Refuse a place that no new file can have, before any work. Raises FileIsThere, NoFolder."""
    require_folder(target)
    if os.path.lexists(target) and (not force or not target.is_file() or target.is_symlink()):
        raise FileIsThere(_is_there(target))


def _is_there(target: Path) -> str:
    return f"{target} is there already; name another file, or add --force to replace a file"


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

"""The private folder in which one attempt works: its inputs at the start, what it made at the end.

The folder is fresh, so that nothing of other steps or of earlier attempts is in it. An input is
changed if its bytes are not those that were placed. The functions only use the disk; any thread
may call them, one call at a time.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from msgspec import Struct

from orc.ledger.digest import Digest
from orc.ledger.files.folder import Folder
from orc.ledger.files.modes import restored_bits
from orc.scheduler.folders.globs import Globs
from orc.worker.confined import list_folders

_TICK_NS = 50_000_000
_COARSE_TICK_NS = 2_000_000_000
"""How far two changes may be apart and leave the same time, on a filesystem with fractions of a
second, and on one with whole seconds."""
_PIECE_BYTES = 1024 * 1024
_FOLDERS_MAX = 1_000_000
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Stamp(Struct, frozen=True):
    """What changes when a file is written to.

    The system sets `ctime_ns` at each change, and no program can set it back, unlike `mtime`.
    """

    device: int
    inode: int
    ctime_ns: int
    size_bytes: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        """The stamp of a file with that status."""
        return cls(found.st_dev, found.st_ino, found.st_ctime_ns, found.st_size)

    def shows_change_after(self, now_ns: int) -> bool:
        """Whether a change at `now_ns` or later gives another stamp.

        If the file was changed just before, the next change may fall into the same tick of the
        filesystem's clock.
        """
        is_coarse = self.ctime_ns % 1_000_000_000 == 0
        return now_ns - self.ctime_ns > (_COARSE_TICK_NS if is_coarse else _TICK_NS)


class _Placed(Struct, frozen=True):
    sha256: Digest
    stamp: Stamp


class WorkFolder:
    """The folder of one attempt (`path`), with its folder for artifacts beside it."""

    def __init__(self, path: str, artifacts: str) -> None:
        # Texts, since most attempts leave nothing, and need no more than these.
        self._paths = (path, artifacts)
        self._placed: dict[str, _Placed] = {}
        self._started_ns = 0

    @property
    def path(self) -> Path:
        """The folder in which the attempt works."""
        return Path(self._paths[0])

    @property
    def artifacts(self) -> Path:
        """The folder for its artifacts."""
        return Path(self._paths[1])

    def create(self) -> None:
        """Create both folders, empty: what a killed process left there is removed."""
        for path in self._paths:
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:
                remove_tree(Path(path))
                os.mkdir(path, 0o700)
            except FileNotFoundError:
                Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.mkdir(path, 0o700)

    def place(
        self, relative: str, sha256: Digest, pieces: Iterable[bytes], mode: str | None
    ) -> None:
        """Write an input. Raises OSError."""
        path = self.path / relative
        try:
            fd = os.open(path, _NEW, 0o666)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, _NEW, 0o666)
        with os.fdopen(fd, "wb", buffering=0) as file:
            for piece in pieces:
                _write_all(file, piece)
            if mode is not None:
                os.fchmod(file.fileno(), restored_bits(mode))
            self.note_placed(relative, sha256, Stamp.of(os.fstat(file.fileno())))

    def note_placed(self, relative: str, sha256: Digest, stamp: Stamp) -> None:
        """Note that the file is an input with that content."""
        self._placed[relative] = _Placed(sha256, stamp)

    def begin(self) -> None:
        """Note that all inputs are placed, and the work begins."""
        self._started_ns = time.time_ns()

    def make_folder(self, relative: str) -> None:
        """Create a folder that a step before left empty. Raises OSError."""
        (self.path / relative).mkdir(parents=True, exist_ok=True)

    def matching(self, globs: Globs, others: list[str] | None = None) -> list[str]:
        """The paths of the files that match, sorted; `others` gets those of links and special files."""
        if not globs:
            return []
        left: list[str] | None = None if others is None else []
        found = confined(self.path).files(enters=globs.may_enter, others=left)
        files = [path for path in found if globs.match(path)]
        if others is not None:
            others += sorted(path for path in left or () if globs.match(path))
        return files

    def changed(self, paths: Iterable[str]) -> list[str]:
        """Those of the files that the attempt made or changed."""
        folder = confined(self.path)
        return [path for path in paths if self.is_changed(folder, path)]

    def made(self, globs: Globs) -> list[str]:
        """The paths of the files that match and that the attempt made or changed, sorted."""
        return self.changed(self.matching(globs))

    def folders(self, globs: Globs) -> dict[str, bool]:
        """The folders that the patterns declare as such, sorted, and whether each is empty."""
        if not globs.has_folders:
            return {}
        found = list_folders(self.path, enters=globs.may_enter)
        return {path: is_empty for path, is_empty in found if globs.match_folder(path)}

    def changed_inputs(self, *, except_for: Globs) -> list[str]:
        """The inputs that the attempt changed, without those that match. Removed ones are not meant."""
        folder = confined(self.path)
        return [
            path
            for path in self._placed
            if not except_for.match(path) and self.is_changed(folder, path, if_missing=False)
        ]

    def artifact_paths(self) -> list[str]:
        """The paths of the files in the folder for artifacts, sorted."""
        return list(confined(self.artifacts).files())

    def remove(self) -> None:
        """Remove both folders. What cannot be removed is left for the next owner of the job."""
        for path in (self.path, self.artifacts):
            remove_attempt_folder(path)

    @property
    def has_inputs(self) -> bool:
        """Whether any file was placed."""
        return bool(self._placed)

    def drop_empty_artifacts(self) -> bool:
        """Remove the folder for artifacts if it is empty; whether there is nothing in it."""
        artifacts = self._paths[1]
        return _remove_empty(artifacts) or not _has_entries(artifacts)

    def remove_empty(self) -> bool:
        """Remove both folders if nothing is in them, which takes no time; whether they are gone."""
        path, artifacts = self._paths
        if os.path.islink(os.path.dirname(path)):
            return False
        return all([_remove_empty(path), _remove_empty(artifacts)])

    def is_changed(self, folder: Folder, path: str, *, if_missing: bool = True) -> bool:
        """Whether the attempt made or changed the file; `if_missing` is the answer if it is gone."""
        placed = self._placed.get(path)
        if placed is None:
            return True
        found = folder.stat(path)
        if found is None:
            return if_missing
        stamp = placed.stamp
        if Stamp.of(found) == stamp and stamp.shows_change_after(self._started_ns):
            return False
        return found.st_size != stamp.size_bytes or digest_of(folder, path) != placed.sha256


def confined(path: Path) -> Folder:
    """Access to a folder of an attempt.

    A command may have put a link in the place of the folder, or of the one around it, which is in
    the run folder.
    """
    return Folder(path.parent.parent, within=f"{path.parent.name}/{path.name}")


def digest_of(folder: Folder, path: str) -> Digest | None:
    """The digest of a file; None if there is no such file."""
    file = folder.open(path, unlock=True)
    if file is None:
        return None
    hashed = sha256()
    with file:
        for piece in read_pieces(file):
            hashed.update(piece)
    return Digest(hashed.hexdigest())


def read_pieces(file: BinaryIO) -> Iterator[bytes]:
    """The rest of the file, in pieces of bounded size."""
    while piece := file.read(_PIECE_BYTES):
        yield piece


def remove_attempt_folder(path: Path) -> None:
    """Remove a folder of an attempt, unless a command put a link in the place of the one around it."""
    if path.parent.is_symlink():
        return
    try:
        os.rmdir(path)
    except OSError:
        remove_tree(path)


def remove_tree(path: Path) -> None:
    """Remove a folder with all that is in it, also folders that their owner may not enter."""

    def open_up(function: Callable[..., Any], name: str, error: Any) -> None:
        with suppress(OSError):
            os.chmod(os.path.dirname(name), 0o700)
            if os.path.isdir(name) and not os.path.islink(name):
                os.chmod(name, 0o700)
                shutil.rmtree(name, ignore_errors=True)
            else:
                os.unlink(name)

    with suppress(OSError):
        if path.is_symlink() or not path.is_dir():
            path.unlink()
            return
        try:
            shutil.rmtree(path, onerror=open_up)
        except RecursionError:
            _flatten(path)
            shutil.rmtree(path, onerror=open_up)
        if path.exists():
            shutil.rmtree(path, ignore_errors=True)


def _flatten(path: Path) -> None:
    """Move all folders inside the folder to its top: `shutil.rmtree` calls itself for each level."""
    top = os.open(path, _DIRECTORY)
    try:
        prefix = f".{os.urandom(8).hex()}."
        left = os.listdir(top)
        # A process that was left behind may create folders meanwhile.
        for number in range(_FOLDERS_MAX):
            if not left:
                return
            with suppress(OSError):
                left += _lift(left.pop(), top, f"{prefix}{number}.")
    finally:
        os.close(top)


def _lift(name: str, top: int, prefix: str) -> list[str]:
    """Move the folders of a folder in `top` to `top`; their new names."""
    moved = []
    folder = os.open(name, _DIRECTORY, dir_fd=top)
    try:
        for number, inner in enumerate(os.listdir(folder)):
            if stat.S_ISDIR(os.stat(inner, dir_fd=folder, follow_symlinks=False).st_mode):
                os.rename(inner, f"{prefix}{number}", src_dir_fd=folder, dst_dir_fd=top)
                moved.append(f"{prefix}{number}")
    finally:
        os.close(folder)
    return moved


def _remove_empty(path: str) -> bool:
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _has_entries(path: str) -> bool:
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def _write_all(file: BinaryIO, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]

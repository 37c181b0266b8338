"""The folders of attempts on a worker, and the leftovers of agents that died.

<folder>/orc-worker-<uid>/
  cache/                  contents by SHA-256, shared by the agents of this machine
  gpu-<device>            locks
  agents/<boot>/          of one agent; it holds `lock` as long as it lives
    <run>-<number>/       of one copy: work/ spec/ artifacts/ log
    trash/                folders of agents that died, which are being removed
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir

from orc.worker.capture_rules import path_problem
from orc.worker.confined import create_file
from orc.worker.file_modes import restored_bits
from orc.worker.problems import ContentGone, RequestProblem, WorkBroken
from orc.worker.wire import FileItem

FOLDERS = ("work", "spec", "artifacts")
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def worker_folder(environ: Mapping[str, str]) -> Path:
    """The private folder of this user's agents. Raises RequestProblem if it is somebody else's."""
    named = environ.get("ORC_WORKER_DIR")
    base = Path(os.path.expanduser(named)) if named else Path(environ.get("TMPDIR") or gettempdir())
    base.mkdir(parents=True, exist_ok=True)
    folder = base.resolve() / f"orc-worker-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = os.stat(folder, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise RequestProblem("environment", f"{folder} belongs to another user; set ORC_WORKER_DIR")
    folder.chmod(0o700)
    return folder


class Spools:
    """The spools of one agent."""

    def __init__(self, folder: Path, boot: str) -> None:
        self._agents = folder / "agents"
        self._own = self._agents / boot
        self._trash = self._own / "trash"
        # Under another name until it is locked: `leftovers` of another agent must not see it.
        new = self._agents / f".{boot}"
        self._agents.mkdir(mode=0o700, exist_ok=True)
        new.mkdir(mode=0o700)
        (new / "trash").mkdir(mode=0o700)
        self._lock_fd = os.open(new / "lock", _LOCK, 0o600)
        fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
        new.rename(self._own)
        self._lock = threading.Lock()
        self._made = 0
        self._discarded: deque[Path] = deque()

    def create(self, run: str) -> Path:
        """A new spool with its folders."""
        with self._lock:
            self._made += 1
            spool = self._own / f"{run}-{self._made}"
        spool.mkdir(mode=0o700)
        for name in FOLDERS:
            (spool / name).mkdir(mode=0o700)
        return spool

    def discard(self, spool: Path) -> None:
        """Let `sweep` remove a spool. This does not wait for a disk."""
        self._discarded.append(spool)

    def sweep(self) -> None:
        """Remove what was discarded."""
        while self._discarded:
            spool = self._discarded.popleft()
            if not _remove_empty(spool):
                remove_tree(spool)
        for path in list(self._trash.iterdir()):
            remove_tree(path)

    def leftovers(self) -> list[Path]:
        """The folders of agents that do not live any more; they are taken away at once."""
        found = []
        for folder in list(self._agents.iterdir()):
            if not folder.name.startswith(".") and folder != self._own and _is_left(folder):
                target = self._trash / folder.name
                with suppress(OSError):
                    folder.rename(target)
                    found.append(target)
        return found

    def close(self) -> None:
        """Remove everything of this agent."""
        remove_tree(self._own)
        os.close(self._lock_fd)


def lay_out(
    files: tuple[FileItem, ...], folder: Path, *, fill: Callable[[FileItem, int], bool]
) -> None:
    """Create the files in a new folder; `fill` writes and verifies a content.

    Raises WorkBroken, and ContentGone if `fill` has no such content.
    """
    for file in files:
        reason = path_problem(file.path)
        if reason:
            raise WorkBroken("path", f"an input cannot be placed: {reason}")
        try:
            fd = create_file(folder, file.path)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            message = f"an input cannot be placed: {file.path[:80]!r} is in the way of another one"
            raise WorkBroken("path", message) from None
        try:
            if not fill(file, fd):
                raise ContentGone(f"the content of {file.path[:80]!r} is not here any more")
            os.fchmod(fd, restored_bits(file.mode))
        finally:
            os.close(fd)


def make_folders(paths: tuple[str, ...], root: Path) -> None:
    """Create the folders that the steps before left empty. Raises WorkBroken."""
    for path in paths:
        reason = path_problem(path)
        if reason:
            raise WorkBroken("path", f"a folder cannot be placed: {reason}")
        try:
            (root / path).mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise WorkBroken("path", f"a folder cannot be placed: {path[:80]!r}") from None


def remove_tree(path: Path) -> None:
    """Remove a folder and its content, also where a command took the permissions away."""
    shutil.rmtree(path, ignore_errors=True)
    if not path.exists():
        return
    for folder, _, _ in os.walk(path):
        with suppress(OSError):
            os.chmod(folder, 0o700)
    shutil.rmtree(path, ignore_errors=True)


def _remove_empty(spool: Path) -> bool:
    """Remove the spool of a copy that left nothing, as most do, in few calls; whether that was done."""
    try:
        for name in FOLDERS:
            os.rmdir(spool / name)
        os.rmdir(spool)
    except OSError:
        return False
    return True


def _is_left(folder: Path) -> bool:
    try:
        fd = os.open(folder / "lock", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True

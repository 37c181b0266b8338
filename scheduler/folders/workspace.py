"""The run folder of a running job: the folders in which its attempts work, their logs and files.

Each attempt works in `work/<step>.<attempt>/`, which has the files of the steps that it depends on
(`core/fold/upstream.py`) and is removed at its end. Steps with a named workspace work in
`workspaces/<name>/` instead. The files in `outputs/` are left to the
publisher: no step reads or writes them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path

import trio

from orc.ledger import LedgerReader, pack_bytes
from orc.ledger.bounds import BLOB_BYTES_MAX, STORED_BYTES_MIN
from orc.ledger.digest import digest_bytes
from orc.ledger.events import FileRef, Payload
from orc.ledger.files.folder import Folder
from orc.ledger.inputs.media_types import media_type_of
from orc.ledger.kinds import FailureKind
from orc.ledger.secrets.masking import Mask
from orc.ledger.step_names import log_name, work_name
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.paths import path_problem
from orc.scheduler.folders.shared_folder import SharedFolder
from orc.scheduler.folders.work_folder import WorkFolder, remove_attempt_folder, remove_tree

WORK_FOLDERS = ("work", "workspaces")
"""The folders of a run folder in which steps work. Nothing in them is published."""
_OWN_FOLDERS = ("work", "logs")
_KNOWN_PATHS_MAX = 256
_INLINE_FILES_MAX = 16
_INLINE_BYTES_MAX = 256 * 1024
_BATCH_FILES_MAX = 256
_BATCH_BYTES_MAX = 4 * 1024 * 1024
"""Files are placed in batches by a thread; a few small ones at once by the caller."""

_Batch = list[tuple[str, FileRef, Iterable[bytes]]]


class CaptureProblem(Exception):
    """A file that an attempt left cannot be captured."""

    kind: FailureKind = "path"


class FilesMissing(CaptureProblem):
    """A file that the step declares is not there."""

    kind: FailureKind = "schema"


class Workspace:
    """The run folder of one job, as its runner uses it.

    `folder` is `runs/<job_id>`; the paths of the job's files begin with `project`. Secrets in logs
    are masked with `mask`.
    """

    def __init__(self, folder: Path, *, project: str, ledger: LedgerReader, mask: Mask) -> None:
        self.folder = folder
        self.project = project
        self._ledger = ledger
        self._mask = mask
        self._folder = Folder(folder)
        self._is_created = False
        # Several places ask for the paths of each attempt.
        self._paths = lru_cache(_KNOWN_PATHS_MAX)(partial(_attempt_paths, f"{folder}/work"))
        self._logs = f"{folder}/logs"
        self._own_folders = tuple(str(folder / name) for name in _OWN_FOLDERS)

    def create(self) -> None:
        """Create the folders for work and logs, if they have not been there since the first call."""
        if self._is_created and all(map(_is_folder, self._own_folders)):
            return
        for name in _OWN_FOLDERS:
            self._folder.create_folder(name)
        self._is_created = True

    def attempt_folder(
        self,
        step_id: str,
        attempt: int,
        *,
        shared: str | None = None,
        globs: tuple[str, ...] = (),
    ) -> WorkFolder:
        """The folder of an attempt, which is not created. `shared` is the name of its workspace."""
        paths = self.attempt_paths(step_id, attempt, shared=shared)
        return WorkFolder(*paths) if shared is None else SharedFolder(*paths, globs)

    def attempt_paths(
        self, step_id: str, attempt: int, *, shared: str | None = None
    ) -> tuple[str, str]:
        """The paths of an attempt's working folder and of its folder for artifacts."""
        work, artifacts = self._paths(step_id, attempt)
        return (work if shared is None else f"{self.folder}/workspaces/{shared}"), artifacts

    async def open(
        self, folder: WorkFolder, inputs: Mapping[str, FileRef], folders: Iterable[str] = ()
    ) -> None:
        """Create the folder of an attempt, with its inputs by their paths in the working folder.

        `folders` are folders that the steps before left empty.

        Raises OSError, and LedgerError if an input cannot be read.
        """
        self.create()
        folder.create()
        for batch in self._batches(inputs):
            size = sum(file.size_bytes for _, file, _ in batch)
            place = partial(_place, folder, batch)
            if len(batch) <= _INLINE_FILES_MAX and size <= _INLINE_BYTES_MAX:
                place()
            else:
                await trio.to_thread.run_sync(place)
        for relative in folders:
            _check_path(relative)
            folder.make_folder(relative)
        folder.begin()

    async def close(self, folder: WorkFolder) -> None:
        """End the work in the folder of an attempt, and remove it if it is private."""
        if not folder.remove_empty():
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(folder.remove)

    def clear(self, *, ended: bool) -> None:
        """Remove the folders for work if they are empty; with `ended`, named workspaces too."""
        if ended:
            remove_tree(self.folder / "workspaces")
        with suppress(OSError):
            os.rmdir(self.folder / "work")

    def log_path(self, step_id: str, attempt: int) -> str:
        """The path of an attempt's log file."""
        return f"{self._logs}/{log_name(step_id, attempt)}"

    def read_log(self, step_id: str, attempt: int) -> tuple[Payload, bytes | None] | None:
        """An attempt's masked log as a payload, and its blob; None if the log is empty."""
        name = f"logs/{log_name(step_id, attempt)}"
        if not os.path.lexists(f"{self.folder}/{name}"):
            # Most attempts print nothing.
            return None
        content = self._folder.read(name, size_max=BLOB_BYTES_MAX)
        return pack_bytes(self._mask.data(content)) if content else None

    def _batches(self, inputs: Mapping[str, FileRef]) -> Iterator[_Batch]:
        batch: _Batch = []
        size = 0
        for relative, file in inputs.items():
            _check_path(relative)
            batch.append((relative, file, self._pieces(file)))
            size += file.size_bytes
            if len(batch) >= _BATCH_FILES_MAX or size >= _BATCH_BYTES_MAX:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _pieces(self, file: FileRef) -> Iterable[bytes]:
        """The bytes of a file. Those of a stored one are read in parts, by the thread that places it."""
        if file.size_bytes > STORED_BYTES_MIN and self._ledger.files.has(file.sha256):
            return self._ledger.files.chunks(file.sha256)
        return (self._ledger.read_blob(file.sha256),)


def sweep_attempts(folder: Path, state: JobState) -> None:
    """Remove the folders of attempts that were cut off when the last owner died.

    `folder` is the job's run folder, and `state` the state before anybody has taken the job up.
    """
    for step_id, step in state.steps.items():
        if step.status == "running":
            for path in _attempt_paths(f"{folder}/work", step_id, step.attempts):
                remove_attempt_folder(Path(path))


def _is_folder(path: str) -> bool:
    """Whether there is a folder, and no link in its place."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _attempt_paths(work: str, step_id: str, attempt: int) -> tuple[str, str]:
    path = f"{work}/{work_name(step_id, attempt)}"
    # A step's name has no dot, so that no attempt has this name.
    return path, f"{path}.artifacts"


def _check_path(relative: str) -> None:
    # An event of another's ledger may hold any path.
    problem = path_problem(relative)
    if problem:
        raise OSError(problem)


def _place(folder: WorkFolder, batch: _Batch) -> None:
    for relative, file, pieces in batch:
        folder.place(relative, file.sha256, pieces, file.mode)


def file_ref(path: str, content: bytes, mode: str | None = None) -> FileRef:
    """The reference to a file with that path and content."""
    return FileRef(
        path=path,
        sha256=digest_bytes(content),
        size_bytes=len(content),
        media_type=media_type_of(path),
        mode=mode,
    )

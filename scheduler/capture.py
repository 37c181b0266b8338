"""Captures the files of an attempt for the ledger, with secrets masked.

The files are those that the spec's `files` writes, those that a model wrote with its tools, and
those that a command or function made or changed in its folder. They are read in pieces, in a
thread. Large ones go to the file store at once, so that memory is bounded whatever their size.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256

import trio
from msgspec.structs import replace

from orc.ledger.bounds import STORED_BYTES_MIN
from orc.ledger.definition import LimitsDef
from orc.ledger.digest import clean_text
from orc.ledger.events import FileRef
from orc.ledger.files.file_store import FileStore, StoredFile
from orc.ledger.files.modes import mode_of
from orc.ledger.inputs.media_types import media_type_of
from orc.ledger.secrets.masking import Mask
from orc.ledger.wording import count_text, size_text
from orc.scheduler.core.paths import path_problem
from orc.scheduler.effects.contract import Result
from orc.scheduler.effects.text import without_fence
from orc.scheduler.folders.globs import Globs
from orc.scheduler.folders.work_folder import WorkFolder, confined, read_pieces
from orc.scheduler.folders.workspace import CaptureProblem, FilesMissing, file_ref
from orc.scheduler.rendered_files import RenderedFile
from orc.worker.capture_rules import FILES_MAX
from orc.worker.declared import (
    Declared,
    failure_message,
    find_absent,
    folders_around,
    warning_message,
)

MEMORY_BYTES_MAX = 64 * 1024 * 1024
"""How much of the files of one attempt is kept in memory until it is committed."""
_SMALL_BYTES = 64 * 1024
_NAMED_MAX = 5

Modes = Mapping[str, Mapping[str, str | None]]
"""Recorded modes of files by their paths, under `work` and `artifacts`."""


class Capture:
    """The files of one attempt; `blobs` and `stored` are their masked contents."""

    def __init__(self, *, project: str, mask: Mask, store: FileStore, limits: LimitsDef) -> None:
        self.blobs: list[bytes] = []
        self.stored: list[StoredFile] = []
        self._project = project
        self._mask = mask
        self._store = store
        self._limits = limits
        self._masked_paths: list[str] = []
        self.folders: list[str] = []
        """The empty folders that belong to the result, by their paths in `outputs/`."""
        self._changed_inputs: list[str] = []
        self._not_regular: list[str] = []
        self._absent: str | None = None
        self._kept_bytes = 0

    @property
    def warning(self) -> str | None:
        """What the user should know of the files; None if there is nothing."""
        said = [] if self._absent is None else [self._mask.text(self._absent)]
        if self._not_regular:
            names = self._mask.text(clean_text(_names(self._not_regular)))
            said.append(f"links and special files are not captured: {names}")
        if self._masked_paths:
            said.append(f"secrets were masked in {_names(self._masked_paths)}")
        if self._changed_inputs:
            said.append(
                f"the step changed {_names(self._changed_inputs)}, which another step wrote; later "
                "steps see the original"
            )
        return "; ".join(said) or None

    async def artifacts(self, folder: WorkFolder, modes: Modes | None = None) -> list[FileRef]:
        """The files in the attempt's folder for artifacts. Raises CaptureProblem, OSError.

        `modes` is as in `made`.
        """
        if folder.drop_empty_artifacts():
            return []
        known = None if modes is None else modes["artifacts"]
        return await trio.to_thread.run_sync(self._read_artifacts, folder, known)

    def written(self, result: Result, rendered: list[RenderedFile]) -> list[FileRef]:
        """The files that the spec and the model's tools write, sorted by path. Raises CaptureProblem."""
        written = self._written(result, rendered)
        return [self._take(path, [written[path]], len(written[path])) for path in sorted(written)]

    async def made(
        self,
        folder: WorkFolder,
        declared: Sequence[Declared],
        written: list[FileRef],
        *,
        modes: Modes | None = None,
        elsewhere: Collection[str] | None = None,
    ) -> list[FileRef]:
        """The step's files with those that it made in its folder, sorted by path.

        A file that is in `written` too is not read. For work that was performed on another machine,
        `modes` are the recorded modes of its files, and `elsewhere` are the inputs that lie there.
        Raises CaptureProblem, OSError.
        """
        if not declared and not folder.has_inputs:
            return written
        names = {file.path for file in written}
        known = None if modes is None else modes["work"]
        read = partial(self._read_made, folder, declared, names, known, elsewhere)
        made = await trio.to_thread.run_sync(read)
        return sorted([*made, *written], key=lambda file: file.path)

    def _read_artifacts(
        self, folder: WorkFolder, modes: Mapping[str, str | None] | None
    ) -> list[FileRef]:
        return [
            self._read(folder, relative, relative, modes, artifact=True)
            for relative in _bounded(folder.artifact_paths())
        ]

    def _read_made(
        self,
        folder: WorkFolder,
        declared: Sequence[Declared],
        written: set[str],
        modes: Mapping[str, str | None] | None,
        elsewhere: Collection[str] | None,
    ) -> list[FileRef]:
        globs = Globs([entry.glob for entry in declared])
        self._changed_inputs = [
            path
            for path in folder.changed_inputs(except_for=globs)
            if f"{self._project}/{path}" not in written
        ]
        files = folder.matching(globs, self._not_regular)
        folders = folder.folders(globs)
        self._compare(folder, declared, files, folders, elsewhere)
        paths = ((path, f"{self._project}/{path}") for path in _bounded(folder.changed(files)))
        made = [
            self._read(folder, relative, path, modes)
            for relative, path in paths
            if path not in written
        ]
        self.folders = self._empty_folders(folders)
        return made

    def _compare(
        self,
        folder: WorkFolder,
        declared: Sequence[Declared],
        files: list[str],
        folders: Collection[str],
        elsewhere: Collection[str] | None,
    ) -> None:
        """Compare what is declared with what is there. Raises FilesMissing."""
        there = {*files, *(elsewhere or ())}
        around = {each for path in elsewhere or () for each in folders_around(path)}
        absent = find_absent(declared, there, {*folders, *around})
        if absent.failing:
            raise FilesMissing(failure_message(absent.failing, folder.path))
        if elsewhere is None:
            # Otherwise the worker has said it.
            self._absent = warning_message(absent.warned)

    def _empty_folders(self, folders: Mapping[str, bool]) -> list[str]:
        found = _bounded([path for path, is_empty in folders.items() if is_empty])
        for path in found:
            reason = path_problem(path)
            if reason:
                raise CaptureProblem(f"a folder cannot be captured: {clean_text(reason)}")
            self._check_name(path)
        return [f"{self._project}/{path}" for path in sorted(found)]

    def _read(
        self,
        folder: WorkFolder,
        relative: str,
        path: str,
        modes: Mapping[str, str | None] | None,
        *,
        artifact: bool = False,
    ) -> FileRef:
        reason = path_problem(relative)
        if reason:
            what = "an artifact" if artifact else "a file"
            raise CaptureProblem(f"{what} cannot be captured: {clean_text(reason)}")
        self._check_name(path)
        place = confined(folder.artifacts if artifact else folder.path)
        file = place.open(relative, unlock=True)
        if file is None:
            raise CaptureProblem(f"{relative} was removed while orc read it")
        with file:
            found = os.fstat(file.fileno())
            pieces = _limited(read_pieces(file), relative, self._limits.file_bytes)
            ref = self._take(path, pieces, found.st_size)
        mode = mode_of(found) if modes is None else modes.get(relative)
        return replace(ref, mode=mode)

    def _take(self, path: str, pieces: Iterable[bytes], size_bytes: int) -> FileRef:
        is_large = size_bytes > STORED_BYTES_MIN or (
            size_bytes > _SMALL_BYTES and self._kept_bytes + size_bytes > MEMORY_BYTES_MAX
        )
        if not is_large:
            return self._keep(path, b"".join(pieces))
        original = sha256()
        stored = self._store.add(self._masked(pieces, original.update))
        if self._mask and stored.sha256 != original.hexdigest():
            self._masked_paths.append(path)
        self.stored.append(stored)
        return FileRef(
            path=path,
            sha256=stored.sha256,
            size_bytes=stored.size_bytes,
            media_type=media_type_of(path),
        )

    def _keep(self, path: str, content: bytes) -> FileRef:
        self._check_name(path)
        masked = self._mask.data(content)
        if masked != content:
            self._masked_paths.append(path)
        self.blobs.append(masked)
        self._kept_bytes += len(masked)
        return file_ref(path, masked)

    def _masked(self, pieces: Iterable[bytes], see: Callable[[bytes], None]) -> Iterator[bytes]:
        """The pieces with secrets masked; `see` gets them as they are."""
        if not self._mask:
            yield from pieces
            return
        masked = self._mask.byte_stream()
        for piece in pieces:
            see(piece)
            yield masked.feed(piece)
        yield masked.close()

    def _check_name(self, path: str) -> None:
        name = self._mask.find(path)
        if name is not None:
            # Masking the name would make another file, and leave the original on the disk.
            raise CaptureProblem(
                f"the name of a file contains the value of the secret {name}; choose a name "
                "without it"
            )

    def _written(self, result: Result, rendered: list[RenderedFile]) -> dict[str, bytes]:
        limit = self._limits.file_bytes
        found: dict[str, bytes] = {}
        for file in rendered:
            path = f"{self._project}/{file.path}"
            content = _content_of(file, result)
            if len(content) > limit:
                raise CaptureProblem(f"{file.path} would have more than {size_text(limit)}")
            if path in found:
                raise CaptureProblem(f"the step's `files` write {file.path} twice")
            found[path] = content
        for relative, content in result.written.items():
            path = f"{self._project}/{relative}"
            if path in found:
                raise CaptureProblem(
                    f"{relative} is written by the step's `files` and by its model's tool; keep one"
                )
            found[path] = content
        return found


def _content_of(file: RenderedFile, result: Result) -> bytes:
    """The content in the spec; without one, that of the result for this file, or its text."""
    if file.content is None and file.path in result.contents:
        return result.contents[file.path]
    text = without_fence(result.text) if file.content is None else file.content
    return clean_text(text).encode()


def _limited(pieces: Iterable[bytes], name: str, limit: int) -> Iterator[bytes]:
    left = limit
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise CaptureProblem(
                f"{name} has more than {size_text(limit)}; set `limits: {{file_bytes: ...}}` on the "
                "step if it may be larger"
            )
        yield piece


def _bounded(paths: list[str]) -> list[str]:
    if len(paths) > FILES_MAX:
        raise CaptureProblem(
            f"the step left {count_text(len(paths), 'file')}, more than {FILES_MAX}; pack them into "
            "an archive"
        )
    return paths


def _names(paths: list[str]) -> str:
    return ", ".join(paths[:_NAMED_MAX]) + ", ..." * (len(paths) > _NAMED_MAX)

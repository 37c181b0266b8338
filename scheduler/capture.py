"""Captures the files of an attempt for the ledger, with secrets masked.

The files are those that the spec's `files` writes, those that a model wrote with its tools, and
those that a command or function left. Reading them from the disk is left to `workspace.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orc.ledger.digest import clean_text
from orc.ledger.events import FileRef
from orc.ledger.secrets.masking import Mask
from orc.ledger.wording import size_text
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.effects.contract import CAPTURE_BYTES_MAX, Result
from orc.scheduler.effects.text import without_fence
from orc.scheduler.rendering import RenderedFile
from orc.scheduler.workspace import CaptureProblem, Workspace, file_ref

_NAMED_MAX = 5


class Capture:
    """The files of one attempt; `blobs` are their masked contents."""

    def __init__(self, state: JobState, workspace: Workspace, mask: Mask, step_id: str) -> None:
        self.blobs: list[bytes] = []
        self._state = state
        self._workspace = workspace
        self._mask = mask
        self._step_id = step_id
        self._masked_paths: list[str] = []

    @property
    def warning(self) -> str | None:
        """Names the files in which secrets were masked; None if there are none."""
        if not self._masked_paths:
            return None
        names = ", ".join(self._masked_paths[:_NAMED_MAX])
        more = ", ..." * (len(self._masked_paths) > _NAMED_MAX)
        return f"secrets were masked in {names}{more}"

    def artifacts(self) -> list[FileRef]:
        """The files that a command or function left in its artifacts folder. Raises CaptureProblem."""
        if not self._state.graph.steps[self._step_id].facts.runs_code:
            return []
        return list(self._mask_all(self._workspace.capture_artifacts(self._step_id)))

    def files(
        self, result: Result, rendered: list[RenderedFile], globs: list[str]
    ) -> list[FileRef]:
        """The step's files, sorted by path. Raises CaptureProblem."""
        found = self._written(result, rendered)
        if globs:
            taken = {
                owned.file.path: owned.file.sha256
                for owned in self._state.owned
                if owned.step != self._step_id
            }
            for ref, content in self._workspace.capture(globs, taken=taken):
                found.setdefault(ref.path, (ref, content))
        return list(self._mask_all(found[path] for path in sorted(found)))

    def _mask_all(self, found: Iterable[tuple[FileRef, bytes]]) -> Iterator[FileRef]:
        for ref, content in found:
            name = self._mask.find(ref.path)
            if name is not None:
                # Masking the name would make another file, and leave the original on the disk.
                raise CaptureProblem(
                    f"the name of a file contains the value of the secret {name}; choose a name "
                    "without it"
                )
            masked = self._mask.data(content)
            if masked != content:
                self._masked_paths.append(ref.path)
                ref = file_ref(ref.path, masked)
            self.blobs.append(masked)
            yield ref

    def _written(
        self, result: Result, rendered: list[RenderedFile]
    ) -> dict[str, tuple[FileRef, bytes]]:
        project = self._state.project
        found: dict[str, tuple[FileRef, bytes]] = {}
        for file in rendered:
            text = without_fence(result.text) if file.content is None else file.content
            path = f"{project}/{file.path}"
            content = clean_text(text).encode()
            if len(content) > CAPTURE_BYTES_MAX:
                raise CaptureProblem(
                    f"{file.path} would have more than {size_text(CAPTURE_BYTES_MAX)}"
                )
            if path in found:
                raise CaptureProblem(f"the step's `files` write {file.path} twice")
            found[path] = (file_ref(path, content), content)
        for relative, content in result.written.items():
            path = f"{project}/{relative}"
            if path in found:
                raise CaptureProblem(
                    f"{relative} is written by the step's `files` and by its model's tool; keep one"
                )
            found[path] = (file_ref(path, content), content)
        return found

"""The files of a job by step: the fold that all projections share.

Manifest, tables, run folder, delivery, verification, exports, recordings and reused results read it.
`ledger/file_owners.py` decides which step owns a path; the scheduler uses that module too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from orc.ledger.digest import Digest, digest_bytes
from orc.ledger.events import (
    FileRef,
    JobAmended,
    Payload,
    Recorded,
    StepReused,
    StepSucceeded,
)
from orc.ledger.file_owners import FileOwners, OwnedFile, dropped_by
from orc.ledger.files.folder import Folder
from orc.ledger.step_names import folder_name, is_within, reused_log_name


class Superseded(Struct, frozen=True):
    """A path of the run folder that orc has written and that no step owns any more.

    `digests` are those of the bytes that orc may have written there; orc did not write other bytes.
    """

    path: str
    digests: frozenset[Digest]


class OwnedFiles(Struct):
    """The files of one job after the events that were applied.

    `outputs` are the files that steps have written, by their paths in `outputs/`. `artifacts` has
    the artifacts of each step's last attempt, and `reused_logs` the log of each reused result, by
    step.
    """

    outputs: FileOwners = field(default_factory=FileOwners)
    artifacts: dict[str, tuple[FileRef, ...]] = field(default_factory=dict)
    reused_logs: dict[str, Payload] = field(default_factory=dict)
    # Files that steps have owned, by path. Steps may own other files there now.
    _former_outputs: dict[str, set[Digest]] = field(default_factory=dict)
    _former_artifacts: dict[str, set[Digest]] = field(default_factory=dict)
    _former_logs: dict[str, set[Digest]] = field(default_factory=dict)

    def apply(self, recorded: Recorded) -> tuple[str, ...]:
        """Apply the next event; returns the paths of the run folder whose owner or bytes it changes."""
        event = recorded.event
        match event.type:
            case "file.written":
                self._remember(self.outputs.apply(recorded))
                return (output_path(event.path),)
            case "step.reused":
                self._remember(self.outputs.apply(recorded))
                return tuple(self._reused(event))
            case "step.started":
                return tuple(self._drop_artifacts(event.step)) if self.artifacts else ()
            case "step.succeeded" | "step.failed":
                self.outputs.apply(recorded)
                if not event.artifacts:
                    return ()
                return tuple(self._leave_artifacts(event.step, event.artifacts))
            case "job.amended":
                return tuple(self._amended(recorded, event))
            case _:
                return ()

    def is_changed_by(self, event: StepSucceeded) -> bool:
        """Whether the success of an attempt adds or replaces artifacts or folders."""
        return bool(event.artifacts or event.folders or self.outputs.has_folders)

    def superseded(self) -> Iterator[Superseded]:
        """Files that a run folder may still have from an earlier publication."""
        for path, digests in self._former_outputs.items():
            if path not in self.outputs:
                yield Superseded(output_path(path), frozenset(digests))
        kept = {
            artifact_path(step, file) for step in self.artifacts for file in self.artifacts[step]
        }
        kept |= {reused_log_path(step) for step in self.reused_logs}
        for path, digests in (*self._former_artifacts.items(), *self._former_logs.items()):
            if path not in kept:
                yield Superseded(path, frozenset(digests))

    def _reused(self, event: StepReused) -> Iterator[str]:
        for file in event.files:
            yield output_path(file.path)
        # Those of an attempt that failed before.
        yield from self._drop_artifacts(event.step)
        if event.log is not None:
            self.reused_logs[event.step] = event.log
            yield reused_log_path(event.step)
        yield from self._leave_artifacts(event.step, event.artifacts)

    def _leave_artifacts(self, step: str, files: tuple[FileRef, ...] | None) -> Iterator[str]:
        if files:
            self.artifacts[step] = files
            yield from (artifact_path(step, file) for file in files)

    def _drop_artifacts(self, step: str) -> Iterator[str]:
        for file in self.artifacts.pop(step, ()):
            path = artifact_path(step, file)
            self._former_artifacts.setdefault(path, set()).add(file.sha256)
            yield path

    def _remember(self, former: Iterable[OwnedFile]) -> None:
        for owned in former:
            self._former_outputs.setdefault(owned.file.path, set()).add(owned.file.sha256)

    def _amended(self, recorded: Recorded, event: JobAmended) -> Iterator[str]:
        taken = self.outputs.apply(recorded)
        self._remember(taken)
        yield from (output_path(owned.file.path) for owned in taken)
        named = dropped_by(event)
        for step in [step for step in self.artifacts if is_within(step, named)]:
            yield from self._drop_artifacts(step)
        for step in [step for step in self.reused_logs if is_within(step, named)]:
            path = reused_log_path(step)
            self._former_logs.setdefault(path, set()).add(_digest(self.reused_logs.pop(step)))
            yield path


def find_superseded(folder: Folder, superseded: Iterable[Superseded]) -> Iterator[Superseded]:
    """The superseded files that the run folder still has, with the bytes that orc wrote."""
    for former in superseded:
        if folder.digest(former.path) in former.digests:
            yield former


def read_owned(stream: Iterable[Recorded]) -> OwnedFiles:
    """The files that a job owns at the end of its stream."""
    owned = OwnedFiles()
    for recorded in stream:
        owned.apply(recorded)
    return owned


def _digest(text: Payload) -> Digest:
    return text.sha256 or digest_bytes(str(text.value or "").encode())


def output_path(path: str) -> str:
    """The path in the run folder of a file that a step wrote."""
    return f"outputs/{path}"


def artifact_path(step: str, file: FileRef) -> str:
    """The path in the run folder of an artifact."""
    return f"artifacts/{folder_name(step)}/{file.path}"


def reused_log_path(step: str) -> str:
    """The path in the run folder of the log of a reused result."""
    return f"logs/{reused_log_name(step)}"

"""Which step owns each output path of a job. The scheduler and all projections use this fold.

A step owns a file from the event that records the file until an amendment resets or removes
the step or a step that contains it. `projections/folds/owned_files.py` says what that means
for the run folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from msgspec import Struct, field

from orc.ledger.events import (
    FileRef,
    FileWritten,
    JobAmended,
    Recorded,
)
from orc.ledger.step_names import lineage


class OwnedFile(Struct, frozen=True):
    """A file and the step that owns it.

    `attempt` is the attempt that wrote it; None for a file of a reused result. `written_at` is
    a UTC timestamp as text.
    """

    step: str
    file: FileRef
    attempt: int | None
    written_at: str


class FileOwners(Struct):
    """The files that the steps of one job own, by path, and the empty folders that they left.

    The cost of an event is proportional to the number of files that it adds or removes, not
    to the number of files of the job.
    """

    _by_path: dict[str, OwnedFile] = field(default_factory=dict)
    _of_step: dict[str, dict[str, OwnedFile]] = field(default_factory=dict)
    _folders: dict[str, tuple[str, ...]] = field(default_factory=dict)
    # For each step: the steps with files or folders that are this step or inside it.
    _inside: dict[str, dict[str, None]] = field(default_factory=dict)

    def apply(self, recorded: Recorded) -> tuple[OwnedFile, ...]:
        """Apply the job's next event; returns the files that lose their owner or are replaced."""
        at = recorded.recorded_at
        event = recorded.event
        # By the name, which is compared faster than the class of a model.
        match event.type:
            case "step.succeeded":
                if event.folders or self._folders:
                    self._leave(event.step, event.folders)
                return ()
            case "file.written":
                return tuple(self._own(OwnedFile(event.step, file_of(event), event.attempt, at)))
            case "step.reused":
                self._leave(event.step, event.folders)
                reused = [OwnedFile(event.step, file, None, at) for file in event.files]
                return tuple(before for owned in reused for before in self._own(owned))
            case "job.amended":
                return tuple(self._drop(event))
            case _:
                return ()

    def __contains__(self, path: object) -> bool:
        return path in self._by_path

    def __len__(self) -> int:
        """The number of files and of steps with empty folders."""
        return len(self._by_path) + len(self._folders)

    def __iter__(self) -> Iterator[OwnedFile]:
        """Every owned file, in the order in which they were recorded."""
        return iter(self._by_path.values())

    def get(self, path: str) -> OwnedFile | None:
        """The file at a path; None if no step owns it."""
        return self._by_path.get(path)

    def step_of(self, path: str) -> str | None:
        """The step that owns a path; None if no step does."""
        found = self._by_path.get(path)
        return None if found is None else found.step

    def of_step(self, step: str) -> Mapping[str, OwnedFile]:
        """The files of the step itself, by path, without those of its items, rounds and members."""
        return self._of_step.get(step, {})

    def inside(self, step: str) -> Iterator[OwnedFile]:
        """The files of a step and of its items, rounds and members."""
        for name in self._inside.get(step, ()):
            yield from self._of_step.get(name, {}).values()

    def folders_inside(self, step: str) -> Iterator[str]:
        """The empty folders that the step and its items, rounds and members left."""
        for name in self._inside.get(step, ()):
            yield from self._folders.get(name, ())

    @property
    def has_folders(self) -> bool:
        """Whether any step has left empty folders."""
        return bool(self._folders)

    @property
    def folders(self) -> dict[str, str]:
        """The empty folders that steps left, by path, with one of the steps that left each."""
        return {path: step for step, paths in self._folders.items() for path in paths}

    def has_any(self, step: str) -> bool:
        """Whether the step, or a step inside it, has files or empty folders."""
        return bool(self._inside.get(step))

    def _leave(self, step: str, folders: tuple[str, ...] | None) -> None:
        """Note the folders of a step's result, in place of those of an earlier one."""
        if folders:
            self._folders[step] = folders
            self._enter(step)
        elif self._folders.pop(step, None):
            self._leave_index(step)

    def _enter(self, step: str) -> None:
        for name in lineage(step):
            self._inside.setdefault(name, {})[step] = None

    def _leave_index(self, step: str) -> None:
        """Take a step out of the index if it has neither files nor folders."""
        if step in self._of_step or step in self._folders:
            return
        for name in lineage(step):
            del self._inside[name][step]
            if not self._inside[name]:
                del self._inside[name]

    def _own(self, owned: OwnedFile) -> Iterator[OwnedFile]:
        path = owned.file.path
        before = self._by_path.get(path)
        if before is not None:
            if before.step == owned.step and is_same_file(before.file, owned.file):
                # Nothing has changed, so the file stays with the attempt that made it.
                return
            self._forget(before)
            yield before
        self._by_path[path] = owned
        if owned.step not in self._of_step:
            self._of_step[owned.step] = {}
            self._enter(owned.step)
        self._of_step[owned.step][path] = owned

    def _drop(self, event: JobAmended) -> Iterator[OwnedFile]:
        for named in dropped_by(event):
            for owned in list(self.inside(named)):
                del self._by_path[owned.file.path]
                self._forget(owned)
                yield owned
            for step in [name for name in self._inside.get(named, ()) if name in self._folders]:
                self._leave(step, None)

    def _forget(self, owned: OwnedFile) -> None:
        files = self._of_step[owned.step]
        del files[owned.file.path]
        if not files:
            del self._of_step[owned.step]
            self._leave_index(owned.step)


def dropped_by(event: JobAmended) -> Set[str]:
    """The steps whose results the amendment drops, together with their inner steps (`is_within`).

    They are in the order of the event, so that the folds that go through them are repeatable.
    """
    return dict.fromkeys((*event.reset, *event.removed)).keys()


def is_same_file(one: FileRef, other: FileRef) -> bool:
    """Whether the two have the same bytes and the same mode."""
    return (one.sha256, one.mode) == (other.sha256, other.mode)


def file_of(event: FileWritten) -> FileRef:
    """The file that the event records."""
    return FileRef(
        path=event.path,
        sha256=event.sha256,
        size_bytes=event.size_bytes,
        media_type=event.media_type,
        mode=event.mode,
    )

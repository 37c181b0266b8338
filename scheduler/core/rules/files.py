"""The rules for files of an attempt: which paths are allowed, and the events that record them."""

from __future__ import annotations

from collections.abc import Iterable

from orc.ledger.events import FileRef, FileWritten
from orc.ledger.file_owners import is_same_file
from orc.scheduler.core.commands import Failed, FinishAttempt, Outcome, Succeeded
from orc.scheduler.core.file_names import FileNames
from orc.scheduler.core.fold.state import JobState
from orc.scheduler.core.fold.upstream import may_replace


def with_file_conflicts(state: JobState, step_id: str, outcome: Outcome) -> Outcome:
    """The outcome, or a failure if its files conflict with the job's other files."""
    if not isinstance(outcome, Succeeded) or not (outcome.files or outcome.folders):
        return outcome
    paths = [file.path for file in outcome.files]
    conflict = find_conflict(state, step_id, paths, outcome.folders)
    if conflict is None:
        return outcome
    return Failed(
        kind="path",
        message=conflict,
        duration_s=outcome.duration_s,
        log=outcome.log,
        artifacts=outcome.artifacts,
    )


def find_conflict(
    state: JobState, step_id: str, paths: Iterable[str], folders: Iterable[str] = ()
) -> str | None:
    """Why files at these paths conflict with the job's other files; None if they do not."""
    own = FileNames()
    for path in paths:
        owner = state.owned.step_of(path)
        other = None if owner is None or may_replace(owner, step_id) else path
        other = other or state.file_names.clash(path) or own.clash(path)
        own.add(path)
        if other is not None:
            return _conflict(state, step_id, path, other)
    for folder in folders:
        other = state.file_names.clash_of_folder(folder)
        if other is not None:
            return _conflict(state, step_id, folder, other)
    return None


def can_own(
    state: JobState, step_id: str, files: tuple[FileRef, ...], folders: tuple[str, ...] = ()
) -> bool:
    """Whether the files and folders do not conflict with the files of other steps."""
    return find_conflict(state, step_id, [file.path for file in files], folders) is None


def _conflict(state: JobState, step_id: str, path: str, other: str) -> str:
    """Why a path, of a file or of an empty folder, cannot be there beside the other one."""
    owner = state.owned.step_of(other) or state.owned.folders.get(other)
    by = f"by step {owner!r}" if owner else "by the same step"
    is_later = owner is not None and may_replace(owner, step_id)
    advice = "rename one of them"
    if is_later:
        advice = "a path must be a file in each round, or a folder in each round"
    if path.startswith(f"{other}/"):
        return f"{path} needs a folder at {other}, where a file was written {by}; {advice}"
    if other.startswith(f"{path}/"):
        return (
            f"{path} is a file, and {other}, in a folder of this name, was written {by}; {advice}"
        )
    if path == other and is_later:
        return f"{path} is an empty folder, and was written as a file {by}; {advice}"
    if path == other:
        return f"{path} was already written {by}; write each file in one step only"
    return f"{path} conflicts with {other}, which was written {by}; rename one of them"


def file_events(state: JobState, command: FinishAttempt, outcome: Succeeded) -> list[FileWritten]:
    """One event for each file that the attempt wrote."""
    events = []
    own = state.owned.of_step(command.step)
    for file in outcome.files:
        there = own.get(file.path)
        same = there is not None and is_same_file(there.file, file)
        events.append(
            FileWritten(
                step=command.step,
                attempt=command.attempt,
                path=file.path,
                sha256=file.sha256,
                size_bytes=file.size_bytes,
                media_type=file.media_type,
                reason="nochange" if same else None,
                mode=file.mode,
            )
        )
    return events

"""The folders of a job: finds its run folder, keeps it published, and fills its `output_dir`."""

from __future__ import annotations

import os
from pathlib import Path

import trio

from orc.cli.errors import EnvironmentProblem
from orc.cli.jobs.own_folder import choose_folder
from orc.ledger import LedgerReader
from orc.ledger.command_lines import quoted_command
from orc.ledger.errors import LedgerError, StorageError
from orc.ledger.files.exposure import examine_folder
from orc.ledger.files.folder import Folder
from orc.ledger.files.ledger_origin import origin_of
from orc.ledger.files.project_places import is_inside, job_place
from orc.ledger.files.run_places import note_output
from orc.ledger.files.way import real_path
from orc.projections import Publisher, deliver
from orc.projections.folder.publish import Unpublished
from orc.projections.money.prices import PriceTable
from orc.scheduler.core.fold.evolve import JobState

REFRESH_S = 2.0
_PAUSE_SHARE = 25
"""How many times longer than a publication the pause after it is at least."""


def folder_for(ledger: LedgerReader, state: JobState, job_id: str, runs_dir: Path) -> Path:
    """The folder in which the owner of a job publishes it, as `choose_folder` says."""
    assert state.submitted is not None
    recorded = state.submitted.runs_dir
    return choose_folder(ledger.connection, ledger.path, job_id, recorded, runs_dir, use="write")


def check_runs_dir(path: Path) -> None:
    """Create the folder for run folders, and check it before anything is spent.

    It must be writable, and other users must not be able to write in it. Raises
    EnvironmentProblem, ExposedFiles.
    """
    _refuse_exposed(path)
    try:
        Folder(path).create()
    except OSError as error:
        raise _cannot_create(path, str(error.strerror)) from error
    _refuse_exposed(path)
    if not os.access(path, os.W_OK | os.X_OK):
        raise _cannot_create(path, "it is not writable")


def check_run_folder(folder: Path) -> None:
    """Check the folder of an existing job, and the folder that contains it, before they are used.

    Nothing is created. Raises EnvironmentProblem, ExposedFiles.
    """
    _refuse_exposed(folder.parent)
    if folder.is_dir():
        _refuse_exposed(folder)


def _refuse_exposed(path: Path) -> None:
    """Refuse a folder in which other users can write, or where they could make it before us."""
    if path.is_symlink() and not path.exists():
        target = f"it is a link to {real_path(path)}, which does not exist"
        raise _cannot_create(path, f"{target}. Create that folder, or remove the link")
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    try:
        examined = examine_folder(there, is_end=there == path)
    except OSError as error:
        raise _cannot_create(path, str(error.strerror)) from error
    examined.refuse(f"orc does not use the folder {path} for run folders")


def _cannot_create(path: Path, why: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"cannot create run folders in {path}: {why}; name another folder with --runs-dir"
    )


def deliver_files(
    ledger: LedgerReader, job_id: str, state: JobState, *, force: bool
) -> tuple[str, ...]:
    """Copy the job's outputs to its `output_dir`, if it has one; the paths that were not copied.

    A file that orc did not write is not overwritten, unless `force` is set, and neither does a copy of
    a ledger write to a folder elsewhere that is that of the original. Raises EnvironmentProblem for
    such a folder, and if a file cannot be written.
    """
    target = output_folder(state, ledger.path)
    if target is None:
        return ()
    origin = origin_of(ledger.connection, job_id)
    if origin is not None and not force:
        is_beside = Path(origin.path).parent == ledger.path.parent
        if is_beside or not is_inside(str(target), ledger.path):
            raise EnvironmentProblem(
                f"the job succeeded, and its files were not copied to {target}: this ledger was copied "
                f"from {origin.path}, and the folder may belong to the job there; "
                f"{quoted_command('resume', job_id, '--force')} copies them all the same"
            )
    try:
        note_output(ledger.path, job_id, target)
        return tuple(deliver(ledger, job_id, target, force=force))
    except OSError as error:
        raise EnvironmentProblem(
            f"the job succeeded, but its files could not be copied to {target}: "
            f"{error.strerror or error}; solve this, then {quoted_command('resume', job_id)} copies them"
        ) from error


def output_folder(state: JobState, database: Path) -> Path | None:
    """The absolute path of the job's `output_dir`; None if it has none."""
    target = state.definition.output_dir
    if target is None or state.submitted is None:
        return None
    return job_place(target, state.submitted, database)


async def keep_published(publisher: Publisher) -> None:
    """Publish the run folder every two seconds, or less often if publishing takes long."""
    pause_s = REFRESH_S
    while True:
        await trio.sleep(pause_s)
        started = trio.current_time()
        # The thread is not abandoned when the job ends, since two threads would then use the
        # publisher. An error is ignored here, unless the ledger cannot be read: the final publication
        # reports it if it persists.
        try:
            await trio.to_thread.run_sync(lambda: publisher.publish(final=False))
        except LedgerError:
            raise
        except Exception:  # noqa: S110
            pass
        pause_s = max(REFRESH_S, _PAUSE_SHARE * (trio.current_time() - started))


def publish_first(publisher: Publisher, folder: Path, job_id: str) -> list[str]:
    """Publish what the job has so far: an unusable run folder is found before anything is spent.

    Returns a notice if a single file cannot be written; the last publication reports it if it
    persists. Raises StorageError, LedgerError.
    """
    try:
        publisher.sweep()
        publisher.publish(final=False)
    except Unpublished as error:
        return [
            f"a file of the run folder {folder} could not be written: {_problem(error)}. The job "
            "runs on, and the ledger has all of it"
        ]
    except OSError as error:
        raise cannot_write(folder, error, quoted_command("resume", job_id)) from error
    return []


def publish_last(publisher: Publisher, folder: Path, job_id: str) -> StorageError | None:
    """Publish the job after its end or stop; what could not be written. Raises LedgerError."""
    try:
        publisher.publish(final=True)
    except OSError as error:
        problem = cannot_write(folder, error, quoted_command("resume", job_id))
        problem.__cause__ = error
        return problem
    return None


def publish_ended(database: Path, job_id: str, folder: Path, prices: PriceTable) -> None:
    """Publish a job that does not run, from a connection of its own, so that any thread may do it.

    What cannot be written was reported by the publication before. Raises LedgerError.
    """
    with LedgerReader.open(database) as reader:
        publish_last(Publisher(reader, job_id, folder, prices=prices), folder, job_id)


def cannot_write(folder: Path, error: OSError, then: str) -> StorageError:
    """The error for a run folder that cannot be written, or not all of it."""
    what = "all files of the run folder" if isinstance(error, Unpublished) else "the run folder"
    return StorageError(
        f"cannot write {what} {folder}: {_problem(error)}. The ledger has all of the job; solve "
        f"this, then {then}"
    )


def _problem(error: OSError) -> str:
    """The error of a file, with the file's path in the run folder."""
    said = str(error.strerror or error)
    return f"{error.filename}: {said}" if isinstance(error.filename, str) else said

"""Publishes the run folder before and after a run: what is wrong with one file stops no job."""

from __future__ import annotations

from pathlib import Path

from orc.ledger.errors import StorageError
from orc.projections import Publisher
from orc.projections.folder.publish import Unpublished


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
        raise cannot_write(folder, error, f"`orc resume {job_id}`") from error
    return []


def publish_last(publisher: Publisher, folder: Path, job_id: str) -> StorageError | None:
    """Publish the job after its end or stop; what could not be written. Raises LedgerError."""
    try:
        publisher.publish(final=True)
    except OSError as error:
        problem = cannot_write(folder, error, f"`orc resume {job_id}`")
        problem.__cause__ = error
        return problem
    return None


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

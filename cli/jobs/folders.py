"""Finds a job's run folder."""

from __future__ import annotations

import os
from pathlib import Path

from orc.cli.errors import EnvironmentProblem
from orc.cli.jobs.own_folder import choose_folder
from orc.ledger import LedgerReader
from orc.ledger.connection import storage_errors
from orc.ledger.files.exposure import examine_folder
from orc.ledger.files.folder import Folder
from orc.ledger.files.way import real_path
from orc.scheduler.core.fold.evolve import JobState


def folder_of(ledger: LedgerReader, job_id: str) -> Path:
    """The run folder of a job; `runs/` beside the ledger is used as `choose_folder` says."""
    with storage_errors(ledger.path):
        row = ledger.connection.execute(
            "SELECT runs_dir FROM jobs WHERE job_id = ?", (job_id,)
        ).fetchone()
        recorded = None if row is None else row[0]
        return choose_folder(ledger.connection, job_id, recorded, ledger.path.parent / "runs")


def folder_for(ledger: LedgerReader, state: JobState, job_id: str, runs_dir: Path) -> Path:
    """The folder to run the job in, as `choose_folder` says."""
    assert state.submitted is not None
    return choose_folder(ledger.connection, job_id, state.submitted.runs_dir, runs_dir)


def check_runs_dir(path: Path) -> None:
    """Create the folder for run folders, and check it before anything is spent.

    It must be writable, and other users must not be able to write in it. Raises
    EnvironmentProblem, ExposedFiles.
    """
    if path.is_symlink() and not path.exists():
        raise EnvironmentProblem(
            f"cannot create run folders in {path}: it is a link to {real_path(path)}, which does not "
            "exist; create that folder, remove the link, or name another folder with --runs-dir"
        )
    purpose = f"orc does not use the folder for run folders {path}"
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    try:
        examine_folder(there, is_end=there == path).refuse(purpose)
        Folder(path).create()
        examined = examine_folder(path)
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot create run folders in {path}: {error.strerror}; name another folder with "
            "--runs-dir"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise EnvironmentProblem(
            f"cannot create run folders in {path}: it is not writable; name another folder with "
            "--runs-dir"
        )
    examined.refuse(purpose)


def check_run_folder(folder: Path) -> None:
    """Check the folder of an existing job, and the folder that contains it, before they are used.

    Raises EnvironmentProblem, ExposedFiles.
    """
    check_runs_dir(folder.parent)
    if folder.is_dir():
        examine_folder(folder).refuse(f"orc does not use the run folder {folder}")

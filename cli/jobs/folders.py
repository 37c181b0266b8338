"""Finds a job's run folder."""

from __future__ import annotations

import os
from pathlib import Path

from orc.cli.errors import EnvironmentProblem
from orc.ledger import LedgerReader
from orc.ledger.connection import storage_errors
from orc.ledger.files.exposure import examine_folder
from orc.ledger.files.folder import Folder
from orc.ledger.files.way import real_path
from orc.ledger.transport.imported import imported
from orc.scheduler.core.fold.evolve import JobState


def run_folder(state: JobState, job_id: str, runs_dir: Path) -> Path:
    """The recorded run folder, if its parent exists; else one under `runs_dir` (a moved ledger)."""
    assert state.submitted is not None
    recorded = Path(state.submitted.runs_dir)
    return (recorded if recorded.parent.is_dir() else runs_dir) / job_id


def folder_of(ledger: LedgerReader, job_id: str) -> Path:
    """The recorded run folder; for an imported job or a moved ledger, `runs/` beside the ledger."""
    with storage_errors(ledger.path):
        row = ledger.connection.execute(
            "SELECT runs_dir FROM jobs WHERE job_id = ?", (job_id,)
        ).fetchone()
        is_foreign = imported(ledger.connection, job_id) is not None
    if row is not None and not is_foreign and Path(row[0]).parent.is_dir():
        return Path(row[0]) / job_id
    return ledger.path.parent / "runs" / job_id


def folder_for(ledger: LedgerReader, state: JobState, job_id: str, runs_dir: Path) -> Path:
    """The folder to run the job in. An imported job never uses the folder that it recorded."""
    if imported(ledger.connection, job_id) is not None:
        return runs_dir / job_id
    return run_folder(state, job_id, runs_dir)


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
    try:
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
    examined.refuse(f"orc does not use the folder for run folders {path}")


def check_run_folder(folder: Path) -> None:
    """Check the folder of an existing job, and the folder that contains it, before they are used.

    Raises EnvironmentProblem, ExposedFiles.
    """
    check_runs_dir(folder.parent)
    if folder.is_dir():
        examine_folder(folder).refuse(f"orc does not use the run folder {folder}")

"""Where a job's run folder is."""

from __future__ import annotations

import os
from pathlib import Path

from orc.cli.errors import EnvironmentProblem
from orc.ledger import LedgerReader
from orc.ledger.connection import storage_errors
from orc.ledger.folder import Folder
from orc.ledger.transport.imported import imported
from orc.scheduler.core.fold.evolve import JobState


def run_folder(state: JobState, job_id: str, runs_dir: Path) -> Path:
    """Where the job's folder is: as recorded, unless the ledger was moved away from there."""
    assert state.submitted is not None
    recorded = Path(state.submitted.runs_dir)
    return (recorded if recorded.parent.is_dir() else runs_dir) / job_id


def folder_of(ledger: LedgerReader, job_id: str) -> Path:
    """The folder that the job was submitted with; beside the ledger where that is not here."""
    with storage_errors(ledger.path):
        row = ledger.connection.execute(
            "SELECT runs_dir FROM jobs WHERE job_id = ?", (job_id,)
        ).fetchone()
        is_foreign = imported(ledger.connection, job_id) is not None
    if row is not None and not is_foreign and Path(row[0]).parent.is_dir():
        return Path(row[0]) / job_id
    return ledger.path.parent / "runs" / job_id


def folder_for(ledger: LedgerReader, state: JobState, job_id: str, runs_dir: Path) -> Path:
    """The folder to run the job in; the recorded folder of an imported job is not used."""
    if imported(ledger.connection, job_id) is not None:
        return runs_dir / job_id
    return run_folder(state, job_id, runs_dir)


def check_runs_dir(path: Path) -> None:
    """Refuse a folder that cannot take the run's files, before anything is spent.

    Raises EnvironmentProblem.
    """
    try:
        Folder(path).create()
    except OSError as error:
        raise EnvironmentProblem(
            f"run folders cannot be made in {path}: {error.strerror}; name another --runs-dir"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise EnvironmentProblem(f"run folders cannot be made in {path}: it is not writable")

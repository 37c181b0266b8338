"""Where a job's run folder is."""

from __future__ import annotations

from pathlib import Path

from orc.cli.jobs.own import run_folder
from orc.ledger import LedgerReader
from orc.ledger.connection import storage_errors
from orc.ledger.transport.imported import imported
from orc.scheduler.core.fold.evolve import JobState


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
    """The folder to run the job in. Whoever made an imported one has no say in it."""
    if imported(ledger.connection, job_id) is not None:
        return runs_dir / job_id
    return run_folder(state, job_id, runs_dir)

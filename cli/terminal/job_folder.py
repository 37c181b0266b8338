"""The path of a job's run folder, to print it. Imports nothing that loads slowly."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from orc.ledger.transport.imported import imported


def displayed_folder(
    connection: sqlite3.Connection, path: Path, job_id: str, runs_dir: str
) -> Path:
    """The job's run folder. That of an imported job is always beside the ledger."""
    foreign = imported(connection, job_id) is not None
    return (path.parent / "runs" if foreign else Path(runs_dir)) / job_id

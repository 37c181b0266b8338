"""The path of a job's run folder, to print it. Imports nothing that loads slowly."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from orc.cli.jobs.own_folder import choose_folder


def displayed_folder(
    connection: sqlite3.Connection, path: Path, job_id: str, runs_dir: str
) -> Path:
    """The job's run folder; `path` is the ledger's. See `choose_folder`."""
    return choose_folder(connection, path, job_id, runs_dir, path.parent / "runs", use="read")

"""Where the locks of a ledger are: a folder beside it, with a file for each job.

The locks themselves (`locks.py`) load more slowly, and most commands only look whether a file is there.
"""

from __future__ import annotations

from pathlib import Path

from orc.ledger.files.way import real_path

RUNNER_SUFFIX = ".runner"


def locks_dir(database: Path) -> Path:
    """The folder of a ledger's lock files, `<db>.locks`, beside the real file."""
    real = real_path(database)
    return real.with_name(real.name + ".locks")


def runner_log_path(database: Path, job_id: str) -> Path:
    """The log of the last process in the background that was started for a job."""
    return locks_dir(database) / f"{job_id}{RUNNER_SUFFIX}"

"""The paths of a job's run folder and kept working folders. Imports nothing that loads slowly."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from orc.cli.jobs.own_folder import choose_folder
from orc.cli.terminal.text import put, safe
from orc.ledger.step_names import work_name
from orc.ledger.wording import count_text

_SHOWN_MAX = 5


def displayed_folder(
    connection: sqlite3.Connection, path: Path, job_id: str, runs_dir: str
) -> Path:
    """The job's run folder; `path` is the ledger's. See `choose_folder`."""
    return choose_folder(connection, path, job_id, runs_dir, path.parent / "runs", use="read")


class Attempted(Protocol):
    """A step, with its status and the number of its last attempt."""

    @property
    def name(self) -> str:
        """The step's id."""

    @property
    def status(self) -> str:
        """The step's status."""

    @property
    def attempts(self) -> int:
        """How many attempts there were."""


def kept_work(folder: Path, steps: Iterable[Attempted]) -> dict[str, Path]:
    """The kept working folder of each step's last attempt, by the step; `folder` is the run folder.

    The folder of an attempt that runs is not a kept one.
    """
    try:
        there = set(os.listdir(folder / "work"))
    except OSError:
        return {}
    ended = (step for step in steps if step.status != "running")
    found = {step.name: work_name(step.name, step.attempts) for step in ended}
    return {step: folder / "work" / name for step, name in found.items() if name in there}


def put_kept(kept: dict[str, Path]) -> None:
    """Print where the kept working folders of steps are."""
    if kept:
        put()
    for step, path in list(kept.items())[:_SHOWN_MAX]:
        put(f"kept working folder of {safe(step)}: {safe(path)}")
    if len(kept) > _SHOWN_MAX:
        put(f"and {count_text(len(kept) - _SHOWN_MAX, 'more kept folder')}")

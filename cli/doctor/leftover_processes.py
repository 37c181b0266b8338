"""Finds processes that outlived their job: commands that started a session of their own.

The runner ends the process group of a command, and such a process has left it. It is recognised by
`ORC_JOB_ID` in its environment, which only Linux shows.
"""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from orc.ledger import LedgerReader, has_owner

_PROCESSES = Path("/proc")
_MARK = b"ORC_JOB_ID="


class Leftover(Struct, frozen=True):
    """A live process whose environment has the id of a job without an owner."""

    pid: int
    command: str
    job_id: str


def find_leftovers(database: Path) -> list[Leftover]:
    """The leftover processes of this ledger's jobs that this user can see; on Linux only."""
    marked = _marked()
    if not marked:
        return []
    with LedgerReader.open(database) as ledger:
        known = {
            job_id
            for job_id in {found.job_id for found in marked}
            if ledger.head(job_id).version > 0
        }
    unowned = {job_id for job_id in known if not has_owner(database, job_id)}
    return [found for found in marked if found.job_id in unowned]


def _marked() -> list[Leftover]:
    found = []
    try:
        pids = sorted(int(entry.name) for entry in _PROCESSES.iterdir() if entry.name.isdigit())
    except OSError:
        return []
    for pid in pids:
        job_id = _job_of(pid)
        if job_id and pid != os.getpid():
            found.append(Leftover(pid, _command_of(pid), job_id))
    return found


def _job_of(pid: int) -> str:
    try:
        environment = (_PROCESSES / str(pid) / "environ").read_bytes()
    except OSError:
        return ""
    for variable in environment.split(b"\0"):
        if variable.startswith(_MARK):
            return variable.removeprefix(_MARK).decode("ascii", "replace")
    return ""


def _command_of(pid: int) -> str:
    # Only the program's name, since its arguments may contain secrets.
    try:
        return (_PROCESSES / str(pid) / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return "ended"

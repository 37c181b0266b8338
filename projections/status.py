"""How a job's status is shown: the stored one, but for `interrupted`, which no event can tell."""

from __future__ import annotations

from pathlib import Path

from ledger.locks import has_owner


def shown_status(database: Path, job_id: str, stored: str) -> str:
    """The status of a job now: one that has not ended and that no live process runs is interrupted."""
    if stored == "running" and not has_owner(database, job_id):
        return "interrupted"
    return stored

"""Waits for changes that other processes make to a ledger, for `orc tail` and `orc logs`."""

from __future__ import annotations

import time

from orc.cli.errors import UsageProblem
from orc.ledger import LedgerReader
from orc.scheduler.core.errors import nearest

POLL_S = 0.25


class LedgerChanges:
    """Detects commits of other processes. A check is cheap: one pragma."""

    def __init__(self, ledger: LedgerReader) -> None:
        self._ledger = ledger
        self._seen = self._version()

    def wait(self) -> None:
        """Sleep for a quarter of a second. The owner may also end without a commit."""
        time.sleep(POLL_S)

    def has_new(self) -> bool:
        """Whether the ledger has changed since the last call."""
        before, self._seen = self._seen, self._version()
        return before != self._seen

    def _version(self) -> int:
        return int(self._ledger.connection.execute("PRAGMA data_version").fetchone()[0])


def check_step(ledger: LedgerReader, job_id: str, step: str) -> None:
    """Raise UsageProblem if the job has no such step."""
    rows = ledger.connection.execute("SELECT name FROM steps WHERE job_id = ?", (job_id,))
    names = {row[0] for row in rows.fetchall()}
    if step not in names:
        raise UsageProblem(f"{job_id} has no step {step!r}{nearest(step, names)}")

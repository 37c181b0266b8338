"""Follows a ledger that other processes write to: for `orc tail` and `orc logs`."""

from __future__ import annotations

import time

from orc.cli.errors import UsageProblem
from orc.ledger import LedgerReader
from orc.scheduler.core.errors import nearest

POLL_S = 0.25


class Changes:
    """Tells when somebody has written to the ledger; asking costs next to nothing."""

    def __init__(self, ledger: LedgerReader) -> None:
        self._ledger = ledger
        self._seen = self._version()

    def wait(self) -> None:
        """Sleep a little; and no longer than that, for an owner may also go without a word."""
        time.sleep(POLL_S)

    def are_there(self) -> bool:
        """Whether there are any since this was asked last."""
        before, self._seen = self._seen, self._version()
        return before != self._seen

    def _version(self) -> int:
        return int(self._ledger.connection.execute("PRAGMA data_version").fetchone()[0])


def check_step(ledger: LedgerReader, job_id: str, step: str) -> None:
    """Raise UsageProblem where the job has no such step."""
    rows = ledger.connection.execute("SELECT name FROM steps WHERE job_id = ?", (job_id,))
    names = {row[0] for row in rows.fetchall()}
    if step not in names:
        raise UsageProblem(f"{job_id} has no step {step!r}{nearest(step, names)}")

"""Waits for changes that other processes make to a ledger, for `orc tail` and `orc logs`."""

from __future__ import annotations

import time
from collections.abc import Callable

from orc.cli.errors import UsageProblem
from orc.ledger import LedgerReader
from orc.ledger.files.snapshot import stamp_of
from orc.scheduler.core.errors import nearest

POLL_S = 0.25
_COPY_SHARE = 10
"""A ledger that has to be copied is copied again after this many times the time of its last copy.

A busy ledger changes many times a second. To copy it each time would read and write all of it as often.
"""


class LedgerChanges:
    """Detects commits of other processes. A check is cheap: one pragma.

    A ledger that is read from a snapshot is opened again when its files have changed, but not all
    the time: a change may be seen later.
    """

    def __init__(
        self, ledger: LedgerReader, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._next_copy_s = clock()
        self._seen = self._version()

    def wait(self) -> None:
        """Sleep for a quarter of a second. The owner may also end without a commit."""
        time.sleep(POLL_S)

    def has_new(self, *, at_once: bool = False) -> bool:
        """Whether the ledger has changed since the last call, and is now read as it is.

        With `at_once`, a snapshot is not left for later: what is seen now is needed.
        """
        version = self._version()
        if version == self._seen:
            return False
        if self._is_snapshot():
            begun_s = self._clock()
            if begun_s < self._next_copy_s and not at_once:
                return False
            self._ledger.reopen()
            ended_s = self._clock()
            self._next_copy_s = ended_s + _COPY_SHARE * (ended_s - begun_s)
        self._seen = version
        return True

    def _version(self) -> object:
        if self._is_snapshot():
            return stamp_of(self._ledger.path)
        return int(self._ledger.connection.execute("PRAGMA data_version").fetchone()[0])

    def _is_snapshot(self) -> bool:
        source = getattr(self._ledger.connection, "source", None)
        return source is not None and source.is_snapshot


def check_step(ledger: LedgerReader, job_id: str, step: str) -> None:
    """Raise UsageProblem if the job has no such step."""
    rows = ledger.connection.execute("SELECT name FROM steps WHERE job_id = ?", (job_id,))
    names = {row[0] for row in rows.fetchall()}
    if step not in names:
        raise UsageProblem(f"{job_id} has no step {step!r}{nearest(step, names)}")

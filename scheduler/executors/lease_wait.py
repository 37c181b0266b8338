"""Waits until the command of a copy that may be lost is dead for certain."""

from __future__ import annotations

import trio

MARGIN_S = 5.0
"""How much longer than the lease is waited before an attempt counts as lost.

A worker may notice some seconds late that it is cut off: its lease begins with the last answer that
it got, and `dask_side.py` says how old that may be.
"""


class LeaseWait:
    """The time at which a command is dead, unless a sign of life comes before."""

    def __init__(self, lease_s: float) -> None:
        self._wait_s = lease_s + MARGIN_S
        self.over_at = float("inf")
        self.reason = ""

    def begin(self, reason: str) -> None:
        """From now on, the command is dead when the lease is over."""
        if self.over_at == float("inf"):
            self.over_at = trio.current_time() + self._wait_s
            self.reason = reason

    def renew(self) -> None:
        """There was a sign of life."""
        self.over_at = float("inf")

    @property
    def is_over(self) -> bool:
        """Whether the command is dead for certain."""
        return trio.current_time() >= self.over_at

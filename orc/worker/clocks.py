"""The clock of leases: it goes on while the machine sleeps, and nobody can set it."""

from __future__ import annotations

import time

# macOS has no CLOCK_BOOTTIME; `reaper.py` has the same lines, because it is a script of its own.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def lease_clock() -> float:
    """Seconds since some moment. All processes of this machine see the same clock."""
    return time.clock_gettime(_CLOCK)

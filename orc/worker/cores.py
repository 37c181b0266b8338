"""How many cores a process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """The cores that this process may run on, which may be fewer than the machine has; at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)  # macOS has none
    return len(affinity(0)) if affinity else os.cpu_count() or 1

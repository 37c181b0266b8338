"""What other processes of this machine use, as Linux says in /proc."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_TICKS_A_S = os.sysconf("SC_CLK_TCK")


class Memories:
    """The largest resident memory of a coordinator and of its driver, asked for while they live."""

    def __init__(self, coordinator: int) -> None:
        self._coordinator = coordinator
        self._driver: int | None = None
        self.coordinator_bytes = 0
        self.driver_bytes = 0

    def look(self) -> None:
        """Ask once more."""
        self.coordinator_bytes = max(self.coordinator_bytes, peak_bytes(self._coordinator))
        if self._driver is None:
            self._driver = next(filter(_is_driver, children(self._coordinator)), None)
        else:
            self.driver_bytes = max(self.driver_bytes, peak_bytes(self._driver))


def is_dead(pid: int) -> bool:
    """Whether the process has ended."""
    # A container may have no process that reaps it.
    fields = _stat(pid)
    return not fields or fields[0] == "Z"


def _is_driver(pid: int) -> bool:
    with suppress(OSError):
        return b"drivers/dask.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def peak_bytes(pid: int) -> int:
    """The largest resident memory of the process so far; 0 if that is not known."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def cpu_s(pid: int) -> float:
    """The processor time of a process and of its children that have ended."""
    return sum(map(int, _stat(pid)[11:15])) / _TICKS_A_S


def _stat(pid: int) -> list[str]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def children(pid: int) -> list[int]:
    """The children of all threads of the process."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, path.read_text().split())
    return found


def with_children(roots: Sequence[int]) -> list[int]:
    """The processes with all that they have started, directly or not."""
    found = list(roots)
    for pid in found:
        found += children(pid)
    return found

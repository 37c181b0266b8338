"""Leases: a command may run only while its worker belongs to the cluster, as far as that is known.

At each beat the agent asks the engine's part whether the worker is still alive there, and gives
the reaper (`reaper.py`) a later deadline for each process group. A worker that is frozen, cut off
or retired makes no beat, and the reaper kills its groups at the deadline. The coordinator waits for
the same time before it starts another attempt.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from orc.worker.clocks import lease_clock
from orc.worker.guarding import signal_group, start_reaper

BEATS_A_LEASE = 5
BEAT_S_MAX = 1.0
_REAPER_S = 1.0
"""How long a reaper may need to kill what is left."""
_REAPER = Path(__file__).with_name("reaper.py")


class LeaseOver(Exception):
    """The lease ended before the command could start."""


class Watch:
    """The lease of one copy. `group` is the process group of its command, if one runs."""

    def __init__(self, lease_s: float, deadline: float) -> None:
        self.lease_s = lease_s
        self.deadline = deadline
        self.group: int | None = None
        self.is_over = False


class Leases:
    """The leases of all copies of this process, and the reaper that enforces them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: set[Watch] = set()
        self._reaper: subprocess.Popen[bytes] | None = None
        self._is_alive: Callable[[], bool] = lambda: True

    def set_alive(self, is_alive: Callable[[], bool]) -> None:
        """How to find out whether this worker is still part of the cluster."""
        self._is_alive = is_alive

    def begin(self, lease_s: float) -> Watch:
        """A lease for a copy that the engine has just given to this worker."""
        watch = Watch(lease_s, lease_clock() + lease_s)
        with self._lock:
            self._watches.add(watch)
        return watch

    def end(self, watch: Watch) -> None:
        """Forget a lease. The caller has ended the process group."""
        with self._lock:
            self._watches.discard(watch)
            group, watch.group = watch.group, None
            if group is not None and self._reaper is not None:
                # Without a reaper nobody has to forget the group.
                with suppress(OSError):
                    self._notify_reaper(f"-{group}")

    def guard(self, watch: Watch, group: int) -> None:
        """Let the reaper know a group, before its command starts. Raises LeaseOver."""
        with self._lock:
            if self._find_over(watch):
                raise LeaseOver
            watch.group = group
            self._notify_reaper(f"+{group} {watch.deadline:.6f}")

    def is_over(self, watch: Watch) -> bool:
        """Whether the lease has ended. It never begins again."""
        with self._lock:
            return self._find_over(watch)

    def beat(self) -> float | None:
        """Renew the leases if the worker is alive; the seconds to the next beat, None if none."""
        asked_at = lease_clock()
        try:
            is_alive = bool(self._is_alive())
        except Exception:
            # An engine that cannot answer is no sign of life.
            is_alive = False
        with self._lock:
            for watch in self._watches:
                # First: after this process was frozen, the reaper has killed the command.
                if self._find_over(watch) or not is_alive:
                    continue
                watch.deadline = asked_at + watch.lease_s
                if watch.group is not None:
                    self._notify_reaper(f"+{watch.group} {watch.deadline:.6f}")
            shortest = min((watch.lease_s for watch in self._watches), default=None)
        return None if shortest is None else min(BEAT_S_MAX, shortest / BEATS_A_LEASE)

    def close(self) -> None:
        """End all leases, and the reaper, which kills what is left."""
        with self._lock:
            for watch in self._watches:
                watch.is_over = True
                if watch.group is not None:
                    signal_group(watch.group, signal.SIGKILL)
            self._end_reaper()

    def _find_over(self, watch: Watch) -> bool:
        if lease_clock() >= watch.deadline:
            watch.is_over = True
        return watch.is_over

    def _notify_reaper(self, line: str) -> None:
        if self._reaper is None:
            self._start_reaper()
            return
        assert self._reaper.stdin is not None
        try:
            # One call writes all of a short line, or nothing of it.
            os.write(self._reaper.stdin.fileno(), line.encode() + b"\n")
        except (BrokenPipeError, BlockingIOError):
            # The reaper was killed, or does not read: start another one first. At the end of its
            # input the old one would kill all groups.
            old = self._reaper
            self._start_reaper()
            old.kill()
            _close_reaper(old)

    def _start_reaper(self) -> None:
        lines = [
            f"+{watch.group} {watch.deadline:.6f}\n"
            for watch in self._watches
            if watch.group is not None
        ]
        self._reaper = start_reaper(_REAPER, "".join(lines).encode())
        assert self._reaper.stdin is not None
        # Only now: a new reaper reads all of it.
        os.set_blocking(self._reaper.stdin.fileno(), False)

    def _end_reaper(self) -> None:
        reaper, self._reaper = self._reaper, None
        if reaper is not None:
            _close_reaper(reaper)


def _close_reaper(reaper: subprocess.Popen[bytes]) -> None:
    assert reaper.stdin is not None
    reaper.stdin.close()
    try:
        reaper.wait(_REAPER_S)
    except subprocess.TimeoutExpired:
        # It was stopped, and kills nothing any more.
        reaper.kill()
        reaper.wait()

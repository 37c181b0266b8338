"""The runner's clock and random numbers. Tests pass their own."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

import trio
from msgspec import Struct, field


class Clock(Struct):
    """Reads the wall clock once, as an anchor, and then follows trio's monotonic clock.

    A jump of the wall clock therefore changes recorded times, but no wait. `wall` returns
    seconds since 1970, `chance` a random number from 0 to 1.
    """

    wall: Callable[[], float] = time.time
    chance: Callable[[], float] = field(default_factory=lambda: random.Random().random)  # noqa: S311  (for jitter)
    _anchor: float | None = None

    def now(self) -> float:
        """Seconds since 1970, without jumps. Call it inside trio only."""
        if self._anchor is None:
            self._anchor = self.wall() - trio.current_time()
        return self._anchor + trio.current_time()

    def deadline(self, at: float) -> float:
        """Convert a time of `now()` to trio's clock."""
        return trio.current_time() + (at - self.now())

    def recorded_at(self) -> str:
        """The wall-clock time as events record it; see `format_time`."""
        return format_time(self.wall())


def format_time(seconds: float) -> str:
    """Seconds since 1970 as UTC text with microseconds and `Z` (RFC 3339)."""
    return datetime.fromtimestamp(seconds, UTC).isoformat("T", "microseconds")[:26] + "Z"

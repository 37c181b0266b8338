"""Time and chance, as the runner uses them; tests give their own."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import trio


@dataclass(slots=True)
class Clock:
    """The wall's time is asked once, for an anchor; from then on the monotonic clock counts.

    So a jump of the wall's clock changes recorded times and no wait. `wall` gives
    seconds since 1970, `chance` a number from 0 to 1.
    """

    wall: Callable[[], float] = time.time
    chance: Callable[[], float] = field(default_factory=lambda: random.Random().random)  # noqa: S311  (jitter, no secret)
    _anchor: float | None = None

    def now(self) -> float:
        """Seconds since 1970, never jumping; inside trio only."""
        if self._anchor is None:
            self._anchor = self.wall() - trio.current_time()
        return self._anchor + trio.current_time()

    def deadline(self, at: float) -> float:
        """A time of `now()` on trio's own clock."""
        return trio.current_time() + (at - self.now())

    def recorded_at(self) -> str:
        """The wall's time as events record it: UTC, microseconds, `Z`."""
        return format_time(self.wall())


def format_time(seconds: float) -> str:
    """Seconds since 1970 as UTC text with microseconds and `Z` (RFC 3339)."""
    return datetime.fromtimestamp(seconds, UTC).isoformat("T", "microseconds")[:26] + "Z"

"""Round numbers for the ticks of an axis."""

from __future__ import annotations

import math

from orc.projections.pictures.timeline_scale import round_seconds

_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)


def round_ticks(low: float, high: float, *, most: int = 6) -> list[float]:
    """At most `most` + 1 round numbers that cover the range from `low` to `high`, ascending.

    The first is at most `low` and the last at least `high`. A range of one value is widened.
    """
    if not (math.isfinite(low) and math.isfinite(high)) or high < low:
        low, high = 0.0, 1.0
    if high - low <= 1e-9 * max(1.0, abs(low), abs(high)):
        low, high = (0.0, high) if high > 0 else (low, low + 1.0)
    least = (high - low) / most
    size = 10.0 ** math.floor(math.log10(least))
    for step in (nice * size for nice in (*_NICE, 20.0)):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= most:
            break
    # Rounded, so that 3 * 0.1 is 0.3.
    digits = max(0, 2 - math.floor(math.log10(step)))
    return [round(number * step, digits) for number in range(first, last + 1)]


def time_ticks(high: float, *, most: int = 6) -> list[float]:
    """At most `most` + 1 round times in seconds, from 0 to at least `high`: whole milliseconds."""
    high = high if math.isfinite(high) else 1.0
    step = round_seconds(high / most)
    return [number * step for number in range(max(1, math.ceil(high / step - 1e-9)) + 1)]

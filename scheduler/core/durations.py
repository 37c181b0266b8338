"""Parses and formats durations: `90`, `90s`, `1.5m`, `1h`, `2d`."""

from __future__ import annotations

import math
import re
from typing import Any

_DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(ms|s|m|h|d)?\s*\Z")
_UNIT_S = {"ms": 0.001, None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION_MAX_S = 366 * 86400.0


def parse_duration(value: Any) -> float:
    """The duration in seconds. Raises ValueError unless it is above 0 and at most 366 days."""
    try:
        seconds = _seconds(value)
    except OverflowError:
        seconds = None
    if seconds is None or not 0 < seconds <= DURATION_MAX_S or math.isnan(seconds):
        raise ValueError(
            "must be a duration above zero and at most 366d, such as 90, 90s, 15m, 1h or 2d"
        )
    return seconds


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    match = _DURATION.match(value) if isinstance(value, str) else None
    return float(match[1]) * _UNIT_S[match[2]] if match else None

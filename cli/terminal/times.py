"""Recorded times for people: how long ago in a list, the exact time where one thing is shown."""

from __future__ import annotations

import time
from datetime import datetime

from orc.ledger.wording import UNKNOWN, ago_text


def ago(at: str, *, now_s: float | None = None) -> str:
    """How long ago a recorded time was: `3 m ago`. `now_s` is in seconds since 1970."""
    try:
        passed = (time.time() if now_s is None else now_s) - datetime.fromisoformat(at).timestamp()
    except (ValueError, OverflowError):
        return UNKNOWN
    return ago_text(passed)


def when(at: str) -> str:
    """A recorded time as `2026-11-01 12:30:00 UTC`."""
    return f"{at[:10]} {at[11:19]} UTC"

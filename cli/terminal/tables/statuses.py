"""The colours of statuses, in tables and in the live table."""

from __future__ import annotations

_GOOD, _BAD, _OPEN, _BUSY, _LEFT = "green", "red", "yellow", "cyan", "dim"
_STYLES = {
    "pending": _LEFT,
    "running": _BUSY,
    "starting": _BUSY,
    "queued": "blue",
    "waiting": _OPEN,
    "interrupted": _OPEN,
    "in": _OPEN,
    "succeeded": _GOOD,
    "cached": _GOOD,
    "failed": _BAD,
    "skipped": _LEFT,
    "cancelled": _LEFT,
    "removed": _LEFT,
}


def style_of(status: str) -> str:
    """The style of a status for `rich`, by its first word; empty if it has none."""
    return _STYLES.get(status.partition(" ")[0], "")

"""Job ids: short, and sortable by time."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from orc.ledger import JobId

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_job_id(
    *,
    now: Callable[[], float] = time.time,
    choose: Callable[[int], int] = secrets.randbelow,
) -> JobId:
    """A new id: `job_`, the time in milliseconds as 8 base-36 digits, and 4 random base-36 digits."""
    moment = _base36(int(now() * 1000), 8)
    return JobId(f"job_{moment}{_base36(choose(36**4), 4)}")


def _base36(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
    return digits

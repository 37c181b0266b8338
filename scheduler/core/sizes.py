"""Parses sizes: `1000`, `64K`, `2M`, `8GiB`, `1.5GB`; and amounts, which may be sizes."""

from __future__ import annotations

import math
from typing import Any

from orc.worker.sizes import SIZE_PATTERN, size_in_bytes

__all__ = ["SIZE_MAX", "SIZE_PATTERN", "parse_amount", "parse_size"]

SIZE_MAX = 2**53
"""The largest whole number that JSON keeps everywhere."""


def parse_size(value: Any) -> int:
    """The size in bytes. `K`, `KiB` count in 1024, `KB` in 1000. Raises ValueError if it is no size."""
    size = value if isinstance(value, int) and not isinstance(value, bool) else _written(value)
    if size is None or not 1 <= size <= SIZE_MAX:
        raise ValueError("must be a size of at least one byte, such as 1000, 64K, 2M or 8GiB")
    return int(size)


def parse_amount(value: Any) -> float:
    """A number from 0, or a size such as `32G`, as a number. Raises ValueError."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        amount = float(value) if is_number else _written(value)
    except OverflowError:
        amount = math.inf
    if amount is None:
        raise ValueError("must be a number, or a size such as 512M or 32G")
    # NaN is not in order with any number.
    if not 0 <= amount <= SIZE_MAX:
        raise ValueError("must be a number from 0")
    return amount


def _written(value: Any) -> float | None:
    return size_in_bytes(value) if isinstance(value, str) else None

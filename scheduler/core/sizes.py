"""Parses sizes: `1000`, `64K`, `2M`, `8GiB`, `1.5GB`."""

from __future__ import annotations

import re
from typing import Any

SIZE_PATTERN = r"^\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(?:([KMGT])(iB|B)?|B)?\s*$"
"""A size that is a text, also for the JSON Schema."""
_SIZE = re.compile(SIZE_PATTERN)
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}
SIZE_MAX = 2**53
"""The largest whole number that JSON keeps everywhere."""


def parse_size(value: Any) -> int:
    """The size in bytes. `K`, `KiB` count in 1024, `KB` in 1000. Raises ValueError if it is no size."""
    size = _bytes(value)
    if size is None or not 1 <= size <= SIZE_MAX:
        raise ValueError("must be a size of at least one byte, such as 1000, 64K, 2M or 8GiB")
    return size


def _bytes(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.match(value) if isinstance(value, str) else None
    if match is None:
        return None
    base = 1000 if match[3] == "B" else 1024
    size = float(match[1]) * base ** _POWERS.get(match[2], 0)
    return int(size) if size <= SIZE_MAX else None

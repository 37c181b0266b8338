"""Sizes as people write them: `1000`, `64K`, `2M`, `8GiB`, `1.5GB`."""

from __future__ import annotations

import re

SIZE_PATTERN = r"^\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(?:([KMGTkmgt])([iI][bB]|[bB])?|[bB])?\s*$"
"""A size that is a text, also for the JSON Schema."""
_SIZE = re.compile(SIZE_PATTERN)
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}


def size_in_bytes(text: str) -> float | None:
    """The size; None if the text is none. `K` and `KiB` count in 1024, `KB` in 1000."""
    match = _SIZE.match(text)
    if match is None:
        return None
    base = 1000 if (match[3] or "").upper() == "B" else 1024
    return float(match[1]) * float(base ** _POWERS.get((match[2] or "").upper(), 0))

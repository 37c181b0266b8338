"""The mode bits of recorded files: as text in events, as bits on the disk.

Events may come from elsewhere: only the nine permission bits count, and a file that orc writes is
always readable by its owner.
"""

from __future__ import annotations

import os
import re
import stat
from functools import lru_cache

_MODE = re.compile("[0-7]{3}")
_OWNER_READS = 0o400


def is_mode(text: object) -> bool:
    """Whether the text is a recorded mode: three octal digits, such as `755`."""
    return isinstance(text, str) and _MODE.fullmatch(text) is not None


def bits_of(mode: str | None) -> int | None:
    """The permission bits of a recorded mode; None for an ordinary file.

    Raises ValueError for a text that is no mode.
    """
    if mode is None:
        return None
    if not is_mode(mode):
        raise ValueError(f"{mode!r} is not a mode: three octal digits")
    return int(mode, 8) | _OWNER_READS


def mode_of(found: os.stat_result) -> str | None:
    """The mode of a file as events record it; None for an ordinary file."""
    bits = stat.S_IMODE(found.st_mode) & 0o777
    return None if bits == ordinary_bits() else f"{bits:03o}"


@lru_cache(maxsize=1)
def ordinary_bits() -> int:
    """The permission bits of an ordinary file: those that the process's umask leaves to a new one."""
    # The umask can only be read by setting it.
    umask = os.umask(0o077)
    os.umask(umask)
    return 0o666 & ~umask

"""The bits on the disk of recorded modes. `orc/worker/file_modes.py` has the record itself.

Events may come from elsewhere: only the nine permission bits count, and a file that orc publishes
is always readable by its owner.
"""

from __future__ import annotations

import os

from orc.worker.file_modes import is_mode, kept_mode, restored_bits

__all__ = ["bits_of", "delivered_bits", "is_mode", "mode_of", "restored_bits"]

_OWNER_READS = 0o400


def bits_of(mode: str | None) -> int | None:
    """The permission bits of a recorded mode in a run folder; None for an ordinary file.

    Raises ValueError for a text that is no mode.
    """
    if mode is None:
        return None
    if not is_mode(mode):
        raise ValueError(f"{mode!r} is not a mode: three octal digits")
    return int(mode, 8) | _OWNER_READS


def delivered_bits(mode: str | None) -> int | None:
    """The permission bits of a recorded mode in a folder of a person, within the person's umask.

    None for an ordinary file. Raises as `bits_of`.
    """
    return None if mode is None else restored_bits(mode) | _OWNER_READS


def mode_of(found: os.stat_result) -> str | None:
    """The mode of a file as events record it; None for an ordinary file."""
    return kept_mode(found.st_mode)

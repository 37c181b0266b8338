"""What an attempt prints, on its way to its log: cut at a limit, and never a reason to fail."""

from __future__ import annotations

import os
from pathlib import Path

from scheduler.effects.contract import LOG_BYTES_MAX


class AttemptLog:
    """One log file, made when something is printed; `goes_on` adds to one that is there."""

    def __init__(self, path: Path, *, goes_on: bool = False) -> None:
        self._path = path
        self._begin = os.O_APPEND if goes_on else os.O_TRUNC
        self._fd: int | None = None
        self._left = LOG_BYTES_MAX
        self._lost = False
        self.warning: str | None = None
        """Why the log has not all of it."""

    def write(self, chunk: bytes | bytearray) -> None:
        """Add what was printed, as far as limit and disk allow."""
        if self._lost:
            return
        try:
            self._append(chunk)
        except OSError as error:
            # The disk is full, or the step has deleted the run folder around itself;
            # its result still counts.
            self._lost = True
            self.warning = f"the log could not be written: {error.strerror or error}"

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _append(self, chunk: bytes | bytearray) -> None:
        if self._fd is None:
            flags = os.O_WRONLY | os.O_CREAT | self._begin | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd = os.open(self._path, flags, 0o600)
        kept = chunk[: self._left]
        self._left -= len(kept)
        if len(kept) < len(chunk):
            self.warning = f"the log was cut at {LOG_BYTES_MAX // 2**20} MiB"
        while kept:
            kept = kept[os.write(self._fd, kept) :]

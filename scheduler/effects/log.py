"""The file that keeps what an attempt prints, while it runs."""

from __future__ import annotations

import os
from pathlib import Path

from scheduler.effects.contract import LOG_BYTES_MAX

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Log:
    """A log, which is made when there is something to put in it; up to a limit.

    What comes here has no secrets any more. `begins` puts it in the place of an
    earlier one. What cannot be written is lost, and `warning` says so: the step's
    result still counts.
    """

    def __init__(self, path: Path, *, begins: bool = False) -> None:
        self.warning: str | None = None
        self._path = path
        self._flags = _FLAGS | (os.O_TRUNC if begins else os.O_APPEND)
        self._file: int | None = None
        self._left = LOG_BYTES_MAX

    def write(self, content: bytes) -> None:
        """Add to it."""
        if not content or self._left < 0:
            return
        try:
            self._write(content)
        except OSError as error:
            # The step may have deleted the run folder around itself.
            self._left = -1
            self.warning = f"the log could not be written: {error.strerror or error}"

    def close(self) -> None:
        """Nothing more comes."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, content: bytes) -> None:
        if self._file is None:
            self._file = _open(self._path, self._flags)
        kept = content[: self._left]
        self._left -= len(kept)
        if len(kept) < len(content):
            self.warning = f"the log was cut at {LOG_BYTES_MAX // 2**20} MiB"
        while kept:
            kept = kept[os.write(self._file, kept) :]


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags, 0o600)
    except OSError:
        # Somebody's link may stand there: the log takes its place.
        if not path.is_symlink():
            raise
        path.unlink()
        return os.open(path, flags, 0o600)

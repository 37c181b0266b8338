"""The file that keeps what an attempt prints, while it runs."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from orc.ledger.wording import size_text
from orc.scheduler.effects.contract import LOG_BYTES_MAX

# Neither following a link nor waiting for the reader of a pipe.
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Log:
    """A log, which is made when there is something to put in it; up to a limit.

    What comes here has no secrets any more. `begins` puts it in the place of an
    earlier one. What cannot be written is lost, and `warning` says so: the step's
    result still counts.
    """

    def __init__(self, path: Path, *, begins: bool = False) -> None:
        self.warning: str | None = None
        self._path = path
        self._begins = begins
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
            self._file = _open(self._path, fresh=self._begins)
        kept = content[: self._left]
        self._left -= len(kept)
        if len(kept) < len(content):
            self.warning = f"the log was cut at {size_text(LOG_BYTES_MAX)}"
        while kept:
            kept = kept[os.write(self._file, kept) :]


def _open(path: Path, *, fresh: bool) -> int:
    """A regular file of its own; a link, a pipe, and a file with another name elsewhere give way.

    `fresh` where nothing that is there belongs to it.
    """
    if not fresh:
        with suppress(OSError):
            found = os.open(path, _FLAGS, 0o600)
            status = os.fstat(found)
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                return found
            os.close(found)
    with suppress(FileNotFoundError):
        os.unlink(path)
    return os.open(path, _FLAGS | os.O_EXCL, 0o600)

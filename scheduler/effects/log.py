"""The log file of a running attempt: its stdout and stderr."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from orc.ledger.scarcity import raise_shortage
from orc.ledger.secrets.masking import Mask
from orc.ledger.wording import size_text

# Do not follow a link, and do not block on a pipe without a reader.
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Log:
    """A log file with a size limit, created at the first write.

    Callers mask secrets before they write; `limit` is in bytes. `begins` replaces an existing file.
    If the log cannot be written or reaches its limit, `warning` is set; the step does not fail.
    """

    def __init__(self, path: Path | str, *, limit: int, begins: bool = False) -> None:
        self.warning: str | None = None
        self._path = path
        self._begins = begins
        self._file: int | None = None
        self._limit = self._left = limit

    def write(self, content: bytes) -> None:
        """Append to the log."""
        if not content or self._left < 0:
            return
        try:
            self._write(content)
        except OSError as error:
            # For instance, the step may have deleted its run folder.
            self._left = -1
            self.warning = f"the log could not be written: {error.strerror or error}"

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, content: bytes) -> None:
        if self._file is None:
            self._file = _open(self._path, fresh=self._begins)
        kept = content[: self._left]
        self._left -= len(kept)
        if len(kept) < len(content):
            self.warning = f"the log was cut at {size_text(self._limit)}"
        while kept:
            kept = kept[os.write(self._file, kept) :]


class MaskedLog(Log):
    """A log that masks what is appended: a secret may arrive in several pieces."""

    def __init__(self, path: Path | str, mask: Mask, *, limit: int) -> None:
        super().__init__(path, limit=limit)
        self._masked = mask.byte_stream()

    def write(self, content: bytes) -> None:
        """See `Log.write`."""
        super().write(self._masked.feed(content))

    def close(self) -> None:
        """Append what was held back, and close the file."""
        super().write(self._masked.close())
        super().close()


def _open(path: Path | str, *, fresh: bool) -> int:
    """Open a regular file with one name. A link, a pipe or a hard-linked file is replaced.

    `fresh` replaces an existing log as well.
    """
    if not fresh:
        try:
            found = os.open(path, _FLAGS, 0o600)
            status = os.fstat(found)
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                return found
            os.close(found)
        except OSError as error:
            # Without a free descriptor, the log that is there must stay.
            raise_shortage(error)
    with suppress(FileNotFoundError):
        os.unlink(path)
    return os.open(path, _FLAGS | os.O_EXCL, 0o600)

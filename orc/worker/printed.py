"""The output of a command: its log, the ends that are kept, and the pieces that are shown live."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from orc.worker.clocks import lease_clock
from orc.worker.confined import create_file
from orc.worker.masking import SecretMask
from orc.worker.problems import WorkBroken, describe_shortage, is_shortage

TAIL_BYTES = 1200
PIECE_BYTES_MAX = 16 * 1000
PIECES_A_SECOND = 10
SHORT_LOG_BYTES = 16 * 1024
"""A log of at most this many bytes is part of the outcome, so that nobody has to fetch it."""


class Log:
    """The log of an attempt, with a limit. Pieces of it are shown at once, some may be left out.

    `show` receives an offset and a piece. A disk that is full ends the attempt, see `broken`. There
    is no file before something is printed.
    """

    def __init__(
        self, spool: Path, *, limit_bytes: int, show: Callable[[int, bytes], None], host: str
    ) -> None:
        self.size = 0
        self.warning: str | None = None
        self.broken: WorkBroken | None = None
        self._limit_bytes = limit_bytes
        self._show = show
        self._host = host
        self._spool = spool
        self._fd: int | None = None
        self._begin = bytearray()
        self._unshown = bytearray()
        self._shown_at = float("-inf")

    @property
    def short(self) -> bytes | None:
        """The whole log; None if it is long."""
        return bytes(self._begin) if self.size == len(self._begin) else None

    def write(self, content: bytes) -> None:
        """Append what is masked already."""
        kept = content[: self._limit_bytes - self.size]
        if len(kept) < len(content) and self.warning is None:
            self.warning = "the log was cut at its limit"
        if not kept:
            return
        try:
            if self._fd is None:
                self._fd = create_file(self._spool, "log")
            written = 0
            while written < len(kept):
                written += os.write(self._fd, kept[written:])
        except OSError as error:
            self._limit_bytes = self.size
            if is_shortage(error):
                said = describe_shortage(error, self._host)
                self.broken = WorkBroken("environment", f"the log could not be written: {said}")
            else:
                self.warning = f"the log could not be written: {error.strerror}"
            return
        if self.size + len(kept) <= SHORT_LOG_BYTES:
            self._begin += kept
        self.size += len(kept)
        self._unshown += kept
        # A flood is not shown as a whole: the coordinator reads what it misses.
        del self._unshown[:-PIECE_BYTES_MAX]

    def tick(self) -> float | None:
        """Show what is due; the seconds until more is due, None if there is nothing to show."""
        if not self._unshown:
            return None
        left_s = self._shown_at + 1 / PIECES_A_SECOND - lease_clock()
        if left_s > 0:
            return left_s
        self._show_all()
        return None

    def close(self) -> None:
        """Show the rest and close the file."""
        if self._unshown:
            self._show_all()
        if self._fd is not None:
            os.close(self._fd)

    def _show_all(self) -> None:
        self._show(self.size - len(self._unshown), bytes(self._unshown))
        self._unshown.clear()
        self._shown_at = lease_clock()


class Printed:
    """What a command prints: stdout with a limit, the end of stderr, and both in the log.

    All of it is masked before it is kept.
    """

    def __init__(self, log: Log, mask: SecretMask, *, limit_bytes: int) -> None:
        self.log = log
        self.stdout = bytearray()
        self.tail = bytearray()
        self._limit_bytes = limit_bytes
        self._received = 0
        self._ends_line = False
        self._out = mask.stream()
        self._err = mask.stream()

    @property
    def is_too_large(self) -> bool:
        """Whether stdout is over its limit. A final newline does not count."""
        return self._received - self._ends_line > self._limit_bytes

    @property
    def must_stop(self) -> bool:
        """Whether the command has to be ended."""
        return self.is_too_large or self.log.broken is not None

    def from_stdout(self, chunk: bytes) -> None:
        """Keep a piece of stdout."""
        self._received += len(chunk)
        self._ends_line = chunk.endswith(b"\n")
        self._keep(self._out.feed(chunk))

    def from_stderr(self, chunk: bytes) -> None:
        """Keep a piece of stderr, or of the mixed output of a function."""
        self._keep_error(self._err.feed(chunk))

    def close(self) -> None:
        """Keep what was held back for masking, and close the log."""
        self._keep(self._out.close())
        self._keep_error(self._err.close())
        self.log.close()

    def _keep(self, shown: bytes) -> None:
        if not self.is_too_large:
            self.stdout += shown
        self.log.write(shown)

    def _keep_error(self, shown: bytes) -> None:
        self.tail += shown
        del self.tail[:-TAIL_BYTES]
        self.log.write(shown)

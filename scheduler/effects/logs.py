"""Opening an attempt's log: a regular file of its own, whatever a step has put in its place."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

# Neither following a link nor waiting for the reader of a pipe.
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_log(path: Path, *, fresh: bool) -> int:
    """The log's descriptor; `fresh` where nothing that is there belongs to it. Raises OSError.

    A link, a pipe, and a file that has another name elsewhere give way.
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

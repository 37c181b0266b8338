"""What the agent reports instead of a traceback, and how it words an error of the system."""

from __future__ import annotations

import errno
import os
import socket


class RequestProblem(ValueError):
    """A request that cannot be served. `code` is for programs, the message for people."""

    def __init__(self, code: str, message: str, **more: object) -> None:
        super().__init__(message)
        self.code = code
        self.more = more


class WorkBroken(Exception):
    """An attempt ends without an exit status. `kind` is a kind of failure of the ledger."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ContentGone(Exception):
    """A content that the coordinator brought is not here any more, so nothing can start."""


_FULL = (errno.ENOSPC, errno.EDQUOT)
_SHORTAGES = (
    *_FULL,
    errno.EIO,
    errno.EROFS,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EAGAIN,
)


def is_shortage(error: OSError) -> bool:
    """Whether the error says something about this machine, not about a file."""
    return error.errno in _SHORTAGES


def describe_shortage(error: OSError, host: str) -> str:
    """What the system says, with the name of the machine that somebody must look at."""
    said = os.strerror(error.errno) if error.errno else str(error)
    advice = "; free some space" if error.errno in _FULL else ""
    return f"{host}: {said}{advice}"


def host_name() -> str:
    """The name of this machine."""
    return socket.gethostname()

"""Tells whether an error means that this machine has run out of something, and of what.

Such an error says nothing about a model, a spec or a file: whoever handles OSError asks here first.
"""

from __future__ import annotations

import errno
import os

_NO_THREAD = "can't start new thread"

_PASSING = {
    errno.EAGAIN: "the system starts no more processes or threads; end some, or raise `ulimit -u`",
    errno.EMFILE: "raise the limit of this process, `ulimit -n`",
    errno.ENFILE: "end other programs",
    errno.ENOMEM: "end other programs",
}
_LASTING = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EIO: "check the disk",
    errno.EROFS: "allow writing to it",
}


def find_shortage(error: BaseException) -> str | None:
    """What the machine lacks, and what to do; None if the error does not mean that."""
    number = shortage_number(error)
    if number is None:
        return None
    return f"{os.strerror(number)}; {(_PASSING | _LASTING)[number]}"


def shortage_number(error: BaseException) -> int | None:
    """The number in `errno` of what the machine lacks; None if the error does not mean that."""
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    if isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
        # Python raises this for EAGAIN when it creates a thread.
        return errno.EAGAIN
    if isinstance(error, OSError) and error.errno in (_PASSING | _LASTING):
        return error.errno
    return None


def may_pass(error: BaseException) -> bool:
    """Whether the machine lacks something that other programs may soon release."""
    return shortage_number(error) in _PASSING


def describe_system_error(error: OSError) -> str:
    """What the operating system says, or what the machine lacks and what to do."""
    return find_shortage(error) or error.strerror or str(error)


def raise_shortage(error: OSError) -> None:
    """Raise the error again if the machine lacks something; else it says something about a file."""
    if shortage_number(error) is not None:
        raise error

"""Whether the system keeps the exit statuses of this process's children."""

from __future__ import annotations

import errno
import signal


def require_exit_statuses() -> None:
    """Raise OSError if this process ignores SIGCHLD, a setting that it may have inherited.

    The system then keeps no exit status, and Python reports 0 for every command, also for one that
    failed. The command line does not ignore SIGCHLD; a program that uses the Python API may.
    """
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        raise OSError(
            errno.ECHILD,
            "this process ignores SIGCHLD, so that no exit status can be known; set it to "
            "signal.SIG_DFL first",
        )

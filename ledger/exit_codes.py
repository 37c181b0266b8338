"""The exit codes of the command line; `docs/cli.md` explains them.

They are defined in the lowest package, so that error classes of every package can use them.
"""

from __future__ import annotations

from typing import Final

SUCCEEDED: Final = 0
FAILED: Final = 1
USAGE: Final = 2
WAITING: Final = 3
BUDGET: Final = 4
VERIFICATION: Final = 5
NO_JOB: Final = 6
ENVIRONMENT: Final = 7
CANCELLED: Final = 8
STORAGE: Final = 74
OWNED: Final = 75

SIGNALS: Final = {"SIGHUP": 129, "SIGINT": 130, "SIGTERM": 143}
"""The exit code of a process that a signal ended, by the signal's name."""

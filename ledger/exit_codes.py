"""The exit codes of the command line.

They stand at the bottom, so that every class of errors can name its own; `docs/cli.md` says
what each one means.
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
"""The code of a process that a signal ended, by the signal's name."""

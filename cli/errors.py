"""The errors of the command line. Each class names its exit code.

UsageProblem         an argument, an option or a file cannot be used; the caller corrects it
└── OwnerSilent      the process that runs the job has not done what was asked; the caller waits
EnvironmentProblem   something that orc needs is missing; the caller provides it
ReaderGone           the reader of stdout has closed it; nothing needs to be done
OutputLost           stdout cannot be written to, such as a file on a full disk
"""

from __future__ import annotations

from typing import ClassVar

from orc.ledger import exit_codes


class UsageProblem(Exception):
    """An argument, an option or a file cannot be used; the message says what to do."""

    exit_code: ClassVar[int] = exit_codes.USAGE


class OwnerSilent(UsageProblem):
    """The process that runs the job has not done what it was asked to in time."""

    exit_code: ClassVar[int] = exit_codes.OWNED


class EnvironmentProblem(Exception):
    """Something that orc needs is missing; the message says how to get it."""

    exit_code: ClassVar[int] = exit_codes.ENVIRONMENT


class ReaderGone(Exception):
    """The reader of stdout has closed it. Further output is dropped, and no message is printed."""

    exit_code: ClassVar[int] = exit_codes.SUCCEEDED


class OutputLost(Exception):
    """Stdout cannot be written to, for another reason than a reader that has closed it."""

    exit_code: ClassVar[int] = exit_codes.STORAGE

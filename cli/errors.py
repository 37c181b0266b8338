"""What can go wrong on the command line, named by who acts next; each class has its exit code.

UsageProblem         the caller: something that was given cannot be used
EnvironmentProblem   the caller: something that orc needs is missing
ReaderGone           nobody: the reader of stdout has closed it
"""

from __future__ import annotations

from typing import ClassVar

from orc.ledger import exit_codes


class UsageProblem(Exception):
    """Something that the caller gave cannot be used; the message says what to do."""

    exit_code: ClassVar[int] = exit_codes.USAGE


class EnvironmentProblem(Exception):
    """Something that orc needs is missing; the message says how to get it."""

    exit_code: ClassVar[int] = exit_codes.ENVIRONMENT


class ReaderGone(Exception):
    """The reader of stdout has closed it: output from now on is dropped, and nothing is said."""

    exit_code: ClassVar[int] = exit_codes.SUCCEEDED

"""The exit code for an error, and for the end of a job. Imports nothing that loads slowly."""

from __future__ import annotations

from collections.abc import Iterable

from orc.ledger.exit_codes import (
    BUDGET,
    CANCELLED,
    ENVIRONMENT,
    FAILED,
    SIGNALS,
    STORAGE,
    SUCCEEDED,
    WAITING,
)
from orc.ledger.kinds import INTERRUPTED
from orc.ledger.scarcity import may_pass

_OF_ENVIRONMENT = {"environment", "connection"}


def code_for_error(error: BaseException) -> int | None:
    """The exit code of an expected error; None for any other.

    Each error class of orc names its exit code. Errors of the operating system get theirs here.
    """
    own = getattr(type(error), "exit_code", None)
    return own if isinstance(own, int) else _code_for_system_error(error)


def _code_for_system_error(error: BaseException) -> int | None:
    if may_pass(error):
        # Memory, descriptors, processes or threads have run out.
        return ENVIRONMENT
    return STORAGE if isinstance(error, OSError) else None


def code_for_job(
    status: str,
    *,
    signal: str | None = None,
    failure_kinds: Iterable[str] = (),
    tolerated: int = 0,
    strict: bool = False,
    over_budget: bool = False,
) -> int:
    """The exit code of a command that ran a job until it had this status.

    `signal` is the stop signal that interrupted the job, such as `SIGINT`. `tolerated` is the
    number of failed steps with `continue_on_error`, and of those whose reply may be no answer; it
    counts only if `strict` is set.
    """
    failure_kinds = set(failure_kinds)
    if signal is not None:
        return SIGNALS.get(signal, FAILED)
    if status == "succeeded":
        return FAILED if strict and tolerated else SUCCEEDED
    if status == INTERRUPTED and not failure_kinds:
        # No signal and no failure: all steps that --until or --only selected have ended.
        return SUCCEEDED
    if status == "cancelled":
        return CANCELLED
    if status == "waiting":
        return BUDGET if over_budget else WAITING
    return ENVIRONMENT if failure_kinds and failure_kinds <= _OF_ENVIRONMENT else FAILED

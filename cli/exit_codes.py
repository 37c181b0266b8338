"""Which exit code an error, or the end of a job, leads to. Free of imports that cost."""

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

_OF_ENVIRONMENT = {"environment", "connection"}


def code_for_error(error: BaseException) -> int | None:
    """The exit code of an error that was raised on purpose; None for any other.

    Each class of ours names its own. The standard library's cannot.
    """
    own = getattr(type(error), "exit_code", None)
    return own if isinstance(own, int) else _code_for_system_error(error)


def _code_for_system_error(error: BaseException) -> int | None:
    if isinstance(error, MemoryError):
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
    """The exit code of a command that ran a job until that status."""
    failure_kinds = set(failure_kinds)
    if signal is not None:
        return SIGNALS.get(signal, FAILED)
    if status == "succeeded":
        return FAILED if strict and tolerated else SUCCEEDED
    if status == "interrupted" and not failure_kinds:
        # No signal and no failure: the steps of --until or --only have ended.
        return SUCCEEDED
    if status == "cancelled":
        return CANCELLED
    if status == "waiting":
        return BUDGET if over_budget else WAITING
    return ENVIRONMENT if failure_kinds and failure_kinds <= _OF_ENVIRONMENT else FAILED

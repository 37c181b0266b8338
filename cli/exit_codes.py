"""Exit codes, and which one an error or a job's end leads to. Free of imports that cost."""

from __future__ import annotations

from collections.abc import Iterable

SUCCEEDED = 0
FAILED = 1
USAGE = 2
WAITING = 3
BUDGET = 4
VERIFICATION = 5
NO_JOB = 6
ENVIRONMENT = 7
CANCELLED = 8
STORAGE = 74
OWNED = 75

SIGNALS = {"SIGHUP": 129, "SIGINT": 130, "SIGTERM": 143}

_BY_ERROR = {
    "SpecError": USAGE,
    "UsageProblem": USAGE,
    "RepliesError": USAGE,
    "NoSuchJob": NO_JOB,
    "NoLedger": NO_JOB,
    "NotALedger": USAGE,
    "RemovedBlob": USAGE,
    "FileIsThere": USAGE,
    "NoFolder": USAGE,
    "BadFailpoint": USAGE,
    "SecretFound": ENVIRONMENT,
    "OtherHistory": VERIFICATION,
    "LedgerTooNew": USAGE,
    "OwnedElsewhere": OWNED,
    "VersionConflict": OWNED,
    "LedgerBusy": STORAGE,
    "StorageError": STORAGE,
    "CorruptLedger": VERIFICATION,
    "EnvironmentProblem": ENVIRONMENT,
    "MemoryError": ENVIRONMENT,
}
_OF_ENVIRONMENT = {"environment", "connection"}


def code_for_error(error: BaseException) -> int | None:
    """The exit code of an error that was raised on purpose; none for any other."""
    for kind in type(error).__mro__:
        if kind.__name__ in _BY_ERROR:
            return _BY_ERROR[kind.__name__]
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
        # Nothing cut it short: the steps that alone were asked for have ended.
        return SUCCEEDED
    if status == "cancelled":
        return CANCELLED
    if status == "waiting":
        return BUDGET if over_budget else WAITING
    return ENVIRONMENT if failure_kinds and failure_kinds <= _OF_ENVIRONMENT else FAILED

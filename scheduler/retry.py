"""Computes the wait before the next attempt with tenacity's strategies.

The wait is recorded in the event of the failure. Waiting and retrying are left to the runner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from orc.ledger.definition import RetryDef
from orc.scheduler.clock import Clock
from orc.scheduler.core.commands import Failed, FinishAttempt
from orc.scheduler.core.fold.evolve import JobState

if TYPE_CHECKING:
    from tenacity.wait import wait_base


def wait_before_retry(
    retry: RetryDef, *, failures: int, retry_after_s: float | None, chance: float
) -> float:
    """Seconds to wait after the `failures`-th failure in a row.

    `chance`, from 0 to 1, sets the random part: a wait w becomes w * (1 - jitter * chance). The
    wait is never shorter than the server's `retry_after_s`.
    """
    from tenacity import RetryCallState

    state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
    state.attempt_number = failures
    wait_s = _strategy(retry)(state) * (1.0 - retry.jitter * chance)
    return round(max(wait_s, retry_after_s or 0.0), 6)


def _strategy(retry: RetryDef) -> wait_base:
    from tenacity import wait_exponential, wait_fixed, wait_incrementing

    match retry.backoff:
        case "fixed":
            return wait_fixed(min(retry.initial_s, retry.max_s))
        case "linear":
            return wait_incrementing(retry.initial_s, retry.initial_s, retry.max_s)
        case "exponential":
            return wait_exponential(multiplier=retry.initial_s, max=retry.max_s)
        case _:
            assert_never(retry.backoff)


def with_wait(
    state: JobState, clock: Clock, command: FinishAttempt, failed: Failed
) -> FinishAttempt:
    """The command, with the wait before a possible retry."""
    wait_s = _asked_wait(failed) or wait_before_retry(
        state.graph.steps[command.step].retry,
        failures=state.steps[command.step].failures + 1,
        retry_after_s=failed.retry_after_s,
        chance=clock.chance(),
    )
    return FinishAttempt(command.step, command.attempt, failed, command.now, wait_s)


def _asked_wait(failed: Failed) -> float | None:
    """The wait that the server asked for at its rate limit, which needs no guess; None without."""
    return failed.retry_after_s if failed.kind == "rate_limit" else None

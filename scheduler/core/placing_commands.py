"""The commands for attempts on other machines; see `commands.py` for the others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """Where an attempt may start: the fields of `step.placed`."""

    run: str
    executor: str
    engine: str
    worker: str
    host: str


@dataclass(frozen=True, slots=True)
class PlaceAttempt:
    """A worker asks whether it may start the attempt.

    Without an event in answer, it may not (`fold/placing.py`: `may_place`).
    """

    step: str
    attempt: int
    placement: WorkerPlace


@dataclass(frozen=True, slots=True)
class UnplaceAttempt:
    """The attempt was placed with this run, and was never let start there."""

    step: str
    attempt: int
    run: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReattachAttempt:
    """The attempt, which an earlier owner placed with this run, was found there."""

    step: str
    attempt: int
    run: str


@dataclass(frozen=True, slots=True)
class ExpireQueued:
    """Fail an attempt that no worker took within its queue_timeout.

    `missing` says what no worker has, if the executor knows that none can ever perform it.
    """

    step: str
    attempt: int
    missing: str = ""

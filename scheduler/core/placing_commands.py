"""The commands for attempts on other machines; see `commands.py` for the others."""

from __future__ import annotations

from msgspec import Struct


class WorkerPlace(Struct, frozen=True):
    """Where an attempt may start: the fields of `step.placed`."""

    run: str
    executor: str
    engine: str
    worker: str
    host: str


class PlaceAttempt(Struct, frozen=True):
    """A worker asks whether it may start the attempt.

    Without an event in answer, it may not (`fold/placing.py`: `may_place`).
    """

    step: str
    attempt: int
    placement: WorkerPlace


class UnplaceAttempt(Struct, frozen=True):
    """The attempt was placed with this run, and was never let start there."""

    step: str
    attempt: int
    run: str
    reason: str


class ReattachAttempt(Struct, frozen=True):
    """The attempt, which an earlier owner placed with this run, was found there."""

    step: str
    attempt: int
    run: str


class ExpireQueued(Struct, frozen=True):
    """Fail an attempt that no worker took within its queue_timeout.

    `missing` says what no worker has, if the executor knows that none can ever perform it.
    """

    step: str
    attempt: int
    missing: str = ""


class EndPlaced(Struct, frozen=True):
    """The attempt has no owner, and the caller has ended its command on the worker: another attempt
    takes its place on another executor."""

    step: str
    attempt: int

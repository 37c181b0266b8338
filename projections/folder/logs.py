"""Finds the logs of a step's attempts: in the ledger, or in the run folder while an attempt runs."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from orc.ledger.events import (
    Payload,
    StepFailed,
    StepInterrupted,
    StepReused,
    StepStarted,
    StepSucceeded,
)
from orc.ledger.reader import LedgerReader
from orc.ledger.step_names import log_name


class AttemptLog(Struct, frozen=True):
    """The log of an attempt; attempt 0 stands for a reused result. `log` is None if there is none.

    `is_over` is false while the attempt runs: the run folder then has the output so far, at `path`.
    `was_cut` is true if orc's process ended during the attempt and the job was resumed: the output
    is then only in the run folder.
    """

    attempt: int
    log: Payload | None
    is_over: bool
    path: str
    was_cut: bool = False


def read_attempt_logs(reader: LedgerReader, job_id: str, step: str) -> list[AttemptLog]:
    """The logs of a step's attempts, in order. Raises LedgerError."""
    found: dict[int, AttemptLog] = {}
    for attempt, log, is_over, was_cut in _logs(reader, job_id, step):
        path = f"logs/{log_name(step, attempt)}"
        found[attempt] = AttemptLog(attempt, log, is_over, path, was_cut)
    return [found[attempt] for attempt in sorted(found)]


def _logs(
    reader: LedgerReader, job_id: str, step: str
) -> Iterator[tuple[int, Payload | None, bool, bool]]:
    for recorded in reader.read_step(job_id, step):
        match recorded.event:
            case StepStarted() as event:
                yield event.attempt, None, False, False
            case StepSucceeded() | StepFailed() as event:
                yield event.attempt, event.log, True, False
            case StepInterrupted() as event:
                yield event.attempt, event.log, True, event.log is None
            case StepReused() as event:
                yield 0, event.log, True, False
            case _:
                pass

"""The commands for batches: many requests of steps that a server answers together."""

from __future__ import annotations

from dataclasses import dataclass

from orc.ledger.events import (
    BatchAccepted,
    BatchEnded,
    BatchProgressed,
    BatchSubmitted,
    LlmRequested,
)

BatchNews = BatchAccepted | BatchProgressed | BatchEnded
"""What becomes of a batch."""


@dataclass(frozen=True, slots=True)
class SubmitBatch:
    """Record a batch with all of its requests, before anything of it is sent."""

    event: BatchSubmitted
    requests: tuple[LlmRequested, ...]


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Record what became of a batch."""

    event: BatchNews


@dataclass(frozen=True, slots=True)
class LeaveBatches:
    """Stop the job while servers work on its batches. Nothing else of it is running."""

"""The commands for batches: many requests of steps that a server answers together."""

from __future__ import annotations

from msgspec import Struct

from orc.ledger.events import (
    BatchAccepted,
    BatchEnded,
    BatchProgressed,
    BatchSubmitted,
    LlmRequested,
)

BatchNews = BatchAccepted | BatchProgressed | BatchEnded
"""What becomes of a batch."""


class SubmitBatch(Struct, frozen=True):
    """Record a batch with all of its requests, before anything of it is sent."""

    event: BatchSubmitted
    requests: tuple[LlmRequested, ...]


class RecordBatch(Struct, frozen=True):
    """Record what became of a batch."""

    event: BatchNews


class LeaveBatches(Struct, frozen=True):
    """Stop the job while servers work on its batches. Nothing else of it is running."""

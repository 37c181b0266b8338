"""Batches in the state of a job, as data."""

from __future__ import annotations

from msgspec import Struct, field

from orc.ledger.digest import Digest
from orc.ledger.events import BatchEnded
from orc.ledger.wording import batch_text


class BatchedCall(Struct, frozen=True):
    """A call of a step that was submitted in a batch and has not ended."""

    batch: int
    call: int
    custom_id: str
    request_sha256: Digest
    version: int


class BatchOfJob(Struct):
    """A batch, which was submitted at `submitted_at` (seconds since 1970).

    `waiting` are the steps whose calls in it have not ended. `server_id` is None until the server has
    accepted it. `answered` and `failed` are what the server said last. `ended` is how it ended.
    """

    number: int
    name: str
    provider: str
    model: str
    endpoint: str
    requests: int
    submitted_at: float
    waiting: dict[str, None] = field(default_factory=dict)
    server_id: str | None = None
    answered: int = 0
    failed: int = 0
    ended: BatchEnded | None = None

    def text(self) -> str:
        """Where it stands, in words."""
        status = "submitted" if self.server_id is None else "accepted"
        if self.ended is not None:
            status = self.ended.outcome
        return batch_text(status, self.requests, self.answered, self.failed)

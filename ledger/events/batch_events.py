"""The events of batches: many requests that a server answers together, later and for less money."""

from __future__ import annotations

from typing import ClassVar, Literal

from orc.ledger.events.base import JobEvent
from orc.ledger.kinds import BatchOutcome
from orc.ledger.values import FailureKind


class BatchSubmitted(JobEvent, frozen=True, kw_only=True):
    """Requests are about to be submitted to a server as one batch; each of them follows as an event.

    `batch` is its number in the job, from 1. `name` is what the server is told, so that the batch can
    be found there. `endpoint` is the server's address, and `size_bytes` the size of all requests.
    """

    type: ClassVar[Literal["batch.submitted"]] = "batch.submitted"
    batch: int
    name: str
    provider: str
    model: str
    endpoint: str | None = None
    requests: int
    size_bytes: int


class BatchAccepted(JobEvent, frozen=True, kw_only=True):
    """The server has the batch, under the id `server_id`.

    With `found`, it did not say so when the batch was submitted: it was found there later.
    """

    type: ClassVar[Literal["batch.accepted"]] = "batch.accepted"
    batch: int
    server_id: str
    found: bool | None = None


class BatchProgressed(JobEvent, frozen=True, kw_only=True):
    """The server says how many requests of the batch it has answered, and how many failed.

    `trouble` is why it cannot be asked at present.
    """

    type: ClassVar[Literal["batch.progressed"]] = "batch.progressed"
    batch: int
    answered: int
    failed: int
    trouble: str | None = None


class BatchEnded(JobEvent, frozen=True, kw_only=True):
    """The batch ended; the replies that its requests have follow.

    `outcome` is what the server says (`completed`, `expired`, `cancelled`; `failed`: it refused the
    requests after it had accepted them), or `refused`: it did not accept the batch; `lost`: whether it
    did is unknown, and it has none of this name; `abandoned`: nothing waits for a reply any more. `kind`
    and `message` say why there are no replies. `absent` marks one for which no server was running on
    this machine.
    """

    type: ClassVar[Literal["batch.ended"]] = "batch.ended"
    batch: int
    outcome: BatchOutcome
    answered: int | None = None
    failed: int | None = None
    kind: FailureKind | None = None
    message: str | None = None
    retry_after_s: float | None = None
    absent: bool | None = None

"""The events of results that are used again, of jobs that are changed, and of bytes that are gone."""

from __future__ import annotations

from typing import Literal

from orc.ledger.digest import Digest
from orc.ledger.event_base import JobEvent, StepEvent
from orc.ledger.values import FileRef, Payload


class JobAmended(JobEvent):
    """The job goes on with this spec: `reset` steps run again, `removed` ones are no part of it.

    The files of both are the job's no more. `fresh` ones are answered from no cache. What is
    not named keeps its result. `signal_id` is the last wish that an ended job had been sent.
    `kept` is as in `job.resumed`.
    """

    type: Literal["job.amended"] = "job.amended"
    spec: Payload
    source: Payload
    source_name: str
    spec_dir: str
    inputs: Payload
    reset: tuple[str, ...]
    removed: tuple[str, ...] = ()
    fresh: tuple[str, ...] | None = None
    replies: Payload | None = None
    signal_id: int | None = None
    kept: tuple[str, ...] | None = None


class StepReused(StepEvent):
    """The step has the result of `from_step` in `from_job`, recorded there at `version`; nothing ran.

    All of the result is here, so that this stream stands by itself. `reason` is `fork`
    where the job began with it, `cache` where the step's work was found done.
    """

    type: Literal["step.reused"] = "step.reused"
    from_job: str
    from_step: str
    version: int
    reason: Literal["fork", "cache"]
    output: Payload
    files: tuple[FileRef, ...] = ()
    artifacts: tuple[FileRef, ...] | None = None
    log: Payload | None = None


class BlobRemoved(JobEvent):
    """Somebody had the bytes of blobs removed from the ledger, which this stream names.

    `cause` is `prune` for the blobs of an old job, `redact` for bytes that nobody may see;
    `size_bytes` is what all of them had. At most 1,000 an event. Bytes that a later
    event brings again are there again.
    """

    type: Literal["blob.removed"] = "blob.removed"
    digests: tuple[Digest, ...]
    size_bytes: int
    cause: Literal["prune", "redact"]
    reason: str | None = None

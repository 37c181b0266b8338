"""The value types that events contain, and the limits of a budget in the same units."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NewType

from msgspec import Struct

from orc.ledger.digest import Digest
from orc.ledger.kinds import FailureKind as FailureKind
from orc.ledger.stored_struct import Stored

JobId = NewType("JobId", str)
"""`job_` and twelve lower-case letters or digits. Ids sort by time of creation."""

StepId = NewType("StepId", str)
"""A step's id in its spec; items and rounds are `id[item]` and `id#round`."""

SkipReason = Literal["dependency_failed", "dependency_skipped", "condition", "job_timeout"]

Limit = Literal["max_calls", "max_tokens", "max_cost_usd"]
"""A limit by its key in the spec. The amounts of `max_cost_usd` are nano-dollars."""


class Payload(Stored, frozen=True, kw_only=True):
    """A JSON value: inline if it is small, otherwise the digest of its blob.

    With `text`, the value is a string and the blob holds its UTF-8 bytes; otherwise the blob
    holds the value's canonical JSON. With `parts`, the value is the list of theirs, or with `keys`
    the mapping, and `size_bytes` is their size together. Without all of these, the value is null.
    """

    value: Any = None
    sha256: Digest | None = None
    size_bytes: int | None = None
    text: bool | None = None
    parts: tuple[Payload, ...] | None = None
    keys: tuple[str, ...] | None = None


class FileRef(Stored, frozen=True, kw_only=True):
    """A file's path and content. `path` is relative, with `/` between its parts.

    `mode` has the permission bits as three octal digits, such as `755`; None for an ordinary file.
    """

    path: str
    sha256: Digest
    size_bytes: int
    media_type: str
    mode: str | None = None


class Owner(Stored, frozen=True, kw_only=True):
    """The process that runs a job."""

    pid: int
    host: str


class QueuedRun(Stored, frozen=True, kw_only=True):
    """How a worker runs a job of the queue.

    `only` are the steps to run, with the steps that they need. With `force`, files in the job's
    `output_dir` that orc did not write are overwritten.
    """

    only: tuple[str, ...] | None = None
    force: bool | None = None


class TokenUsage(Stored, frozen=True, kw_only=True):
    """The tokens of one call, as the provider reported them.

    `input_tokens` includes the tokens that the provider read from its cache (`cached_tokens`) and
    those that it wrote there (`cache_write_tokens`); `output_tokens` includes `reasoning_tokens`.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0


class ChildShape(Stored, frozen=True, kw_only=True):
    """The kind of a step that was created inside another one; `needs` are ids of its siblings."""

    kind: str
    needs: tuple[str, ...] = ()
    provider: str | None = None
    model: str | None = None


class Reserved(Stored, frozen=True, kw_only=True):
    """The most that a call can use: tokens, and nano-dollars if a budget limits the cost."""

    tokens: int = 0
    cost_nano_usd: int | None = None


class Limits(Struct, frozen=True):
    """The limits of a budget as whole amounts: calls, tokens and nano-dollars. None is no limit."""

    max_calls: int | None = None
    max_tokens: int | None = None
    max_cost_nano_usd: int | None = None
    on_exceeded: Literal["pause", "fail"] = "pause"

    def given(self) -> Iterator[tuple[Limit, int]]:
        """The limits that there are."""
        amounts: tuple[tuple[Limit, int | None], ...] = (
            ("max_calls", self.max_calls),
            ("max_tokens", self.max_tokens),
            ("max_cost_usd", self.max_cost_nano_usd),
        )
        for limit, maximum in amounts:
            if maximum is not None:
                yield limit, maximum


class WorstCase(Stored, frozen=True, kw_only=True):
    """The most that a call can use and cost; unknown values are absent.

    `input_tokens` counts one token per byte of the request. `output_tokens` is the request's
    `max_tokens`. `cost_nano_usd` uses the prices at the time of the call.
    """

    input_tokens: int
    output_tokens: int | None = None
    cost_nano_usd: int | None = None


class CallRef(Stored, frozen=True, kw_only=True):
    """Identifies one call to a model in the ledger."""

    job_id: str
    step: str
    attempt: int
    call: int


class Failure(Stored, frozen=True, kw_only=True):
    """One failed step in the list of `job.failed`."""

    step: str | None = None
    kind: FailureKind
    message: str


class CachedReply(Stored, frozen=True, kw_only=True):
    """A recorded reply that a cache can use for an equal request.

    The reply is in the stream of the job that `paid_by` names, at `version`. Its `usage` is None if the
    server did not count it.
    """

    paid_by: CallRef
    version: int
    provider: str
    model: str
    reply: dict[str, Any]
    finish_reason: str
    usage: TokenUsage | None


class ToleratedCount(Stored, frozen=True, kw_only=True):
    """How many failures of one kind a setting of the spec tolerated (docs/spec.md)."""

    setting: str
    kind: str
    failures: int


class CachedResult(Stored, frozen=True, kw_only=True):
    """A recorded result of a step that can be reused; it is at `version` of `from_job`'s stream.

    `tolerated` are the failures in the step and inside it in spite of which it has this result.
    """

    from_job: str
    from_step: str
    version: int
    output: Payload
    files: tuple[FileRef, ...] = ()
    folders: tuple[str, ...] | None = None
    artifacts: tuple[FileRef, ...] | None = None
    log: Payload | None = None
    warning: str | None = None
    tolerated: tuple[ToleratedCount, ...] | None = None

"""The values that events are made of."""

from __future__ import annotations

from typing import Any, Literal, NewType

from pydantic import BaseModel, ConfigDict

from orc.ledger.digest import Digest
from orc.ledger.kinds import FailureKind as FailureKind

JobId = NewType("JobId", str)
"""`job_` and twelve lower-case letters or digits, sortable by time."""

StepId = NewType("StepId", str)
"""A step's name in its spec; later also `name[item]` and `name#round`."""

SkipReason = Literal["dependency_failed", "dependency_skipped", "condition", "job_timeout"]


class Frozen(BaseModel):
    """Base of the values that cross the disk: immutable, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Payload(Frozen):
    """A JSON value: inline when it is small, else the digest of its blob.

    With `text`, the blob holds the value, a string, as it is; otherwise the
    value's canonical JSON. With neither `value` nor `sha256` the value is null.
    """

    value: Any = None
    sha256: Digest | None = None
    size_bytes: int | None = None
    text: bool | None = None


class FileRef(Frozen):
    """A file by name and content; `path` is relative, with `/` between its parts."""

    path: str
    sha256: Digest
    size_bytes: int
    media_type: str


class Owner(Frozen):
    """The process that runs a job."""

    pid: int
    host: str


class TokenUsage(Frozen):
    """Tokens of one call, as the provider counted them."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class ChildShape(Frozen):
    """What a step is that came into being inside another one; `needs` are ids of its siblings."""

    kind: str
    needs: tuple[str, ...] = ()
    provider: str | None = None
    model: str | None = None


class Reserved(Frozen):
    """The most that a call can use: tokens, and US dollars where a limit is in money."""

    tokens: int = 0
    cost_usd: float | None = None


class WorstCase(Frozen):
    """The most that a call can use and cost; what nobody knows is absent.

    Input counts a token for each byte of the request. Output is `max_tokens`, and
    unknown without one; the cost, in US dollars, is of the prices of its day.
    """

    input_tokens: int
    output_tokens: int | None = None
    cost_usd: float | None = None


class CallRef(Frozen):
    """A call to a model in some job of the ledger."""

    job_id: str
    step: str
    attempt: int
    call: int


class Failure(Frozen):
    """One failed step, as `job.failed` lists it."""

    step: str | None = None
    kind: FailureKind
    message: str


class CachedReply(Frozen):
    """A reply in some job's stream, at `version`, that answers an equal request of another call."""

    paid_by: CallRef
    version: int
    provider: str
    model: str
    reply: dict[str, Any]
    finish_reason: str
    usage: TokenUsage


class CachedResult(Frozen):
    """A step's result as some job's stream has it, at `version`: all that can be used again."""

    from_job: str
    from_step: str
    version: int
    output: Payload
    files: tuple[FileRef, ...] = ()
    artifacts: tuple[FileRef, ...] | None = None
    log: Payload | None = None

"""The events: every fact that a job's stream can hold, as frozen pydantic models.

An event's `type`, `step` and `attempt` are columns of the table; the rest of
its fields are the `data` column. Optional fields may be added to a model
freely. A change that old data does not fit raises the type's number in
`SHAPES` and brings a function in `upcasts.py`. No type is ever renamed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NewType

from pydantic import BaseModel, ConfigDict, ValidationError

from ledger.digest import Digest
from ledger.errors import LedgerTooNew
from ledger.upcasts import upcast

JobId = NewType("JobId", str)
"""`job_` and twelve lower-case letters or digits, sortable by time."""

StepId = NewType("StepId", str)
"""A step's name in its spec; later also `name[item]` and `name#round`."""

FailureKind = Literal[
    "rate_limit",
    "timeout",
    "connection",
    "server_error",
    "protocol",
    "auth",
    "bad_request",
    "refused",
    "context_length",
    "schema",
    "exit_code",
    "signal",
    "output_too_large",
    "path",
    "template",
    "budget",
    "rejected",
    "environment",
]
SkipReason = Literal["dependency_failed", "dependency_skipped", "job_timeout"]


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


class Failure(Frozen):
    """One failed step, as `job.failed` lists it."""

    step: str | None = None
    kind: FailureKind
    message: str


class Event(Frozen):
    """Base of all events."""


class JobEvent(Event):
    """An event of the job as a whole."""


class StepEvent(Event):
    """An event of one step; `attempt` is the try that it belongs to, from 1."""

    step: str
    attempt: int | None = None


class JobSubmitted(JobEvent):
    """A job exists: its spec as written and as resolved, and where it was submitted."""

    type: Literal["job.submitted"] = "job.submitted"
    project: str
    spec: Payload
    source: Payload
    source_name: str
    spec_dir: str
    submit_dir: str
    runs_dir: str
    inputs: Payload
    replies: Payload | None = None
    orc_version: str


class JobStarted(JobEvent):
    """A process took the ownership of a new job."""

    type: Literal["job.started"] = "job.started"
    owner: Owner


class JobResumed(JobEvent):
    """A process took over a job that had stopped; unfinished steps are open again.

    `timeout_s` replaces the job's time limit, counted over all its owners.
    `signal_id` is the last wish that an ended job had been sent: it asks for nothing more.
    """

    type: Literal["job.resumed"] = "job.resumed"
    owner: Owner
    replies: Payload | None = None
    provider: str | None = None
    timeout_s: float | None = None
    signal_id: int | None = None


class JobInterrupted(JobEvent):
    """The owner stopped before the end, by a signal; the job can be resumed."""

    type: Literal["job.interrupted"] = "job.interrupted"
    signal: str


class JobSucceeded(JobEvent):
    """Every step has ended, and none failed that the job needs."""

    type: Literal["job.succeeded"] = "job.succeeded"


class JobFailed(JobEvent):
    """Every step has ended, and these failed; the list stops at 1,000."""

    type: Literal["job.failed"] = "job.failed"
    failures: tuple[Failure, ...]
    failures_total: int


class JobCancelled(JobEvent):
    """Someone asked for the end of the job; what had not ended is cancelled."""

    type: Literal["job.cancelled"] = "job.cancelled"
    signal_id: int | None = None
    reason: str | None = None


class StepStarted(StepEvent):
    """An attempt is about to begin; committed before its side effects."""

    type: Literal["step.started"] = "step.started"
    attempt: int
    kind: str
    needs: tuple[str, ...]
    deadline_at: float | None = None


class StepSucceeded(StepEvent):
    """An attempt gave the step its result, for good."""

    type: Literal["step.succeeded"] = "step.succeeded"
    attempt: int
    output: Payload
    duration_s: float
    log: Payload | None = None
    artifacts: tuple[FileRef, ...] | None = None
    warning: str | None = None


class StepFailed(StepEvent):
    """An attempt failed. With `retry_at` it will be tried again, else the step has failed.

    `retry_at` is in seconds since 1970 and `delay_s` after the failure;
    `tolerated` marks a final failure that the job goes on from;
    `on_content` one that must not be answered from recorded replies again.
    """

    type: Literal["step.failed"] = "step.failed"
    attempt: int
    kind: FailureKind
    message: str
    duration_s: float
    delay_s: float | None = None
    retry_at: float | None = None
    tolerated: bool | None = None
    on_content: bool | None = None
    exit_code: int | None = None
    signal: str | None = None
    log: Payload | None = None
    artifacts: tuple[FileRef, ...] | None = None


class StepSkipped(StepEvent):
    """The step will not run; `because` names the steps that decided it (at most 20)."""

    type: Literal["step.skipped"] = "step.skipped"
    reason: SkipReason
    because: tuple[str, ...]


class StepInterrupted(StepEvent):
    """An attempt was cut short and says nothing of the step: by a signal, a cancel or a crash."""

    type: Literal["step.interrupted"] = "step.interrupted"
    attempt: int
    reason: Literal["signal", "cancel", "crash"]
    duration_s: float | None = None
    log: Payload | None = None


class LlmRequested(StepEvent):
    """A request is about to be sent; `request_sha256` names all of it, `prompt_sha256` what is asked."""

    type: Literal["llm.requested"] = "llm.requested"
    attempt: int
    call: int
    provider: str
    model: str
    request: Payload
    request_sha256: Digest
    prompt_sha256: Digest
    dropped: tuple[str, ...] | None = None


class LlmResponded(StepEvent):
    """A reply arrived and is kept: it is never paid for again."""

    type: Literal["llm.responded"] = "llm.responded"
    attempt: int
    call: int
    provider: str
    model: str
    reply: Payload
    request_sha256: Digest
    finish_reason: str
    usage: TokenUsage
    duration_s: float
    request_id: str | None = None


class LlmFailed(StepEvent):
    """A call ended without a reply that can be used."""

    type: Literal["llm.failed"] = "llm.failed"
    attempt: int
    call: int
    provider: str
    model: str
    kind: FailureKind
    message: str
    duration_s: float
    retry_after_s: float | None = None


class CacheHit(StepEvent):
    """A call was answered by a reply that the ledger already holds; nothing was sent.

    `version` is that of the `llm.responded` in this stream.
    """

    type: Literal["cache.hit"] = "cache.hit"
    attempt: int
    call: int
    request_sha256: Digest
    version: int


class FileWritten(StepEvent):
    """A step wrote a file; its bytes are in the ledger with this event.

    `path` is relative to the job's `outputs/`. `reason` is `nochange` when the
    file was there with the same content.
    """

    type: Literal["file.written"] = "file.written"
    attempt: int
    path: str
    sha256: Digest
    size_bytes: int
    media_type: str
    reason: Literal["nochange"] | None = None


AnyEvent = (
    JobSubmitted
    | JobStarted
    | JobResumed
    | JobInterrupted
    | JobSucceeded
    | JobFailed
    | JobCancelled
    | StepStarted
    | StepSucceeded
    | StepFailed
    | StepSkipped
    | StepInterrupted
    | LlmRequested
    | LlmResponded
    | LlmFailed
    | CacheHit
    | FileWritten
)

EVENT_TYPES: dict[str, type[AnyEvent]] = {
    model.model_fields["type"].default: model for model in AnyEvent.__args__
}
SHAPES: dict[str, int] = {}
"""The number of an event type's present shape, where it is not 1."""

_COLUMNS = ("type", "step", "attempt")


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event with its place: the stream's `version` (from 1) and the time, UTC text.

    `position` (its number in the whole ledger) and `hash` are known once it is stored.
    """

    job_id: JobId
    version: int
    recorded_at: str
    event: AnyEvent
    position: int = 0
    hash: str = ""


def dump_event(event: AnyEvent) -> dict[str, Any]:
    """The event's own fields as JSON values, absent ones left out, with `v` where it is not 1."""
    data = {
        name: _plain(value)
        for name, value in event.__dict__.items()
        if value is not None and name not in _COLUMNS
    }
    shape = SHAPES.get(event.type)
    if shape is not None:
        data["v"] = shape
    return data


def load_event(
    type_name: str, *, step: str | None, attempt: int | None, data: dict[str, Any]
) -> AnyEvent:
    """The event that a stored row holds, brought to today's shape.

    Raises LedgerTooNew for a type, a shape or a field that this orc does not know.
    """
    model = EVENT_TYPES.get(type_name)
    if model is None:
        raise LedgerTooNew(f"event type {type_name!r} is unknown to this orc; install a newer one")
    fields = upcast(type_name, data, target=SHAPES.get(type_name, 1))
    if step is not None:
        fields["step"] = step
        if attempt is not None:
            fields["attempt"] = attempt
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LedgerTooNew(
            f"cannot read a {type_name} event: {where}: {first['msg']}; "
            "a newer orc may have written it (`orc verify` tells whether it was changed)"
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _plain(item) for name, item in value.__dict__.items() if item is not None}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value

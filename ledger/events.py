"""The events: every fact that a job's stream can hold, as frozen pydantic models.

The order is: the events of a job, of its steps, of their calls to models and tools, and of
the files that they write. An event's `type`, `step` and `attempt` are columns of the table;
the rest of its fields are the `data` column. Optional fields may be added to a model freely.
A change that old data does not fit raises the type's number in `SHAPES` and needs a function
in `upcasts.py`. No type is ever renamed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orc.ledger.digest import Digest
from orc.ledger.kinds import PersonNeeded
from orc.ledger.values import CallRef as CallRef
from orc.ledger.values import ChildShape as ChildShape
from orc.ledger.values import Failure as Failure
from orc.ledger.values import FailureKind as FailureKind
from orc.ledger.values import FileRef as FileRef
from orc.ledger.values import Frozen as Frozen
from orc.ledger.values import JobId as JobId
from orc.ledger.values import Owner as Owner
from orc.ledger.values import Payload as Payload
from orc.ledger.values import Reserved as Reserved
from orc.ledger.values import SkipReason as SkipReason
from orc.ledger.values import StepId as StepId
from orc.ledger.values import TokenUsage as TokenUsage
from orc.ledger.values import WorstCase as WorstCase

_PERHAPS_ANSWERED: frozenset[FailureKind] = frozenset(("timeout", "connection", "protocol"))


class Event(Frozen):
    """Base of all events."""


class JobEvent(Event):
    """An event of the job as a whole."""


class StepEvent(Event):
    """An event of one step; `attempt` is the try that it belongs to, from 1."""

    step: str
    attempt: int | None = None


class JobSubmitted(JobEvent):
    """A job exists: its spec as written and as resolved, and where it was submitted.

    `replay_of` is the job whose recorded replies it runs on, `forked_from` the one whose
    results it begins with.
    """

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
    replay_of: str | None = None
    forked_from: str | None = None
    orc_version: str


class JobStarted(JobEvent):
    """A process took the ownership of a new job.

    `only` are the steps that it runs, with what they need; then it stops.
    """

    type: Literal["job.started"] = "job.started"
    owner: Owner
    only: tuple[str, ...] | None = None


class JobResumed(JobEvent):
    """A process took over a job that had stopped; unfinished steps are open again.

    `timeout_s` replaces the job's time limit, counted over all its owners.
    `signal_id` is the last signal that was sent to a job that had ended: it counts as answered.
    `kept` are steps that stay skipped, or failed inside what has succeeded.
    `only` is as in `job.started`.
    """

    type: Literal["job.resumed"] = "job.resumed"
    owner: Owner
    replies: Payload | None = None
    provider: str | None = None
    timeout_s: float | None = None
    signal_id: int | None = None
    kept: tuple[str, ...] | None = None
    only: tuple[str, ...] | None = None


class JobAmended(JobEvent):
    """The job goes on with this spec: `reset` steps run again, `removed` ones are no part of it.

    The files of both are the job's no more. `fresh` ones are answered from no cache. What is
    not named keeps its result. `signal_id` is as in `job.resumed`.
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


class JobInterrupted(JobEvent):
    """The owner stopped before the end; the job can be resumed.

    By a signal; or, without one, since the steps that alone were asked for have ended.
    """

    type: Literal["job.interrupted"] = "job.interrupted"
    signal: str | None = None


class CircuitOpened(JobEvent):
    """Calls to a model have failed `failures` times in a row: no step of it starts for a while.

    After `cooldown_s`, at `retry_at` in seconds since 1970, one step may try.
    `kind` and `message` are those of the last failure.
    """

    type: Literal["circuit.opened"] = "circuit.opened"
    target: str
    failures: int
    cooldown_s: float
    retry_at: float
    kind: FailureKind
    message: str


class CircuitClosed(JobEvent):
    """The model has answered the step that was let through; the others may go on."""

    type: Literal["circuit.closed"] = "circuit.closed"
    target: str


class BudgetRaised(JobEvent):
    """Somebody lets more be spent: these limits are in place of those before.

    `account` is a step with a budget of its own; without one it is the job's.
    """

    type: Literal["budget.raised"] = "budget.raised"
    account: str | None = None
    max_cost_usd: float | None = None
    max_tokens: int | None = None
    max_calls: int | None = None
    signal_id: int | None = None


class JobWaiting(JobEvent):
    """The owner stopped, because only a person can say how the job goes on; `steps` are asked for."""

    type: Literal["job.waiting"] = "job.waiting"
    reason: PersonNeeded
    steps: tuple[str, ...]


class JobSucceeded(JobEvent):
    """Every step has ended, and none failed that the job needs."""

    type: Literal["job.succeeded"] = "job.succeeded"


class JobFailed(JobEvent):
    """Every step has ended, and these failed; the list stops at 1,000."""

    type: Literal["job.failed"] = "job.failed"
    failures: tuple[Failure, ...]
    failures_total: int


class JobCancelling(JobEvent):
    """Someone asked for the end of the job: all is cancelled but `steps`, which run for that.

    They are those whose condition has `always()` or `cancelled()`; when they have
    ended, the job is cancelled.
    """

    type: Literal["job.cancelling"] = "job.cancelling"
    steps: tuple[str, ...]
    signal_id: int | None = None
    reason: str | None = None


class JobCancelled(JobEvent):
    """Someone asked for the end of the job; what had not ended is cancelled."""

    type: Literal["job.cancelled"] = "job.cancelled"
    signal_id: int | None = None
    reason: str | None = None


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


class StepStarted(StepEvent):
    """An attempt is about to begin; committed before its side effects.

    `cache_key` names all that its result depends on, where that was asked for.
    """

    type: Literal["step.started"] = "step.started"
    attempt: int
    kind: str
    needs: tuple[str, ...]
    deadline_at: float | None = None
    cache_key: Digest | None = None


class StepSwitched(StepEvent):
    """The step asks another model from now on: number `fallback` of its list, from 1.

    `attempt` is the last one that was made, 0 for none; `message` says why.
    """

    type: Literal["step.switched"] = "step.switched"
    attempt: int
    fallback: int
    from_target: str
    to_target: str
    provider: str
    model: str
    message: str


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


class StepExpanded(StepEvent):
    """Steps came into being inside this one: items of a fan-out, a round, members of a group.

    `children` are their ids, the first of them number `first` of `total`; at most 1,000
    an event. `values` are the values of these items, in order, or a group's inputs.
    `shapes` says what they are: one for all, or one each.
    """

    type: Literal["step.expanded"] = "step.expanded"
    attempt: int
    children: tuple[str, ...]
    first: int
    total: int
    values: Payload | None = None
    shapes: tuple[ChildShape, ...]


class StepSkipped(StepEvent):
    """The step will not run; `because` names the steps that decided it (at most 20).

    `condition` is the one of its own that did not hold.
    """

    type: Literal["step.skipped"] = "step.skipped"
    reason: SkipReason
    because: tuple[str, ...]
    condition: str | None = None


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


class ApprovalRequested(StepEvent):
    """A person is asked; without an answer, `on_timeout` is chosen at `expires_at`.

    `expires_at` is in seconds since 1970 and `timeout_s` after the question.
    """

    type: Literal["approval.requested"] = "approval.requested"
    attempt: int
    message: str
    options: tuple[str, ...]
    timeout_s: float | None = None
    expires_at: float | None = None
    on_timeout: str | None = None


class ApprovalDecided(StepEvent):
    """Someone has decided, or the time was over: then `by` is none. Nothing else is an answer."""

    type: Literal["approval.decided"] = "approval.decided"
    attempt: int
    option: str
    comment: str | None = None
    by: str | None = None
    signal_id: int | None = None


class StepInterrupted(StepEvent):
    """An attempt was cut short and says nothing of the step: by a signal, a cancel or a crash."""

    type: Literal["step.interrupted"] = "step.interrupted"
    attempt: int
    reason: Literal["signal", "cancel", "crash"]
    duration_s: float | None = None
    log: Payload | None = None


class BudgetExceeded(StepEvent):
    """A call does not fit a limit, and is not sent: its step waits until the budget is raised.

    `account` is the step whose budget it is; without one it is the job's. Amounts
    are tokens, calls, or US dollars, as `limit` says.
    """

    type: Literal["budget.exceeded"] = "budget.exceeded"
    attempt: int
    account: str | None = None
    limit: Literal["max_calls", "max_tokens", "max_cost_usd"]
    maximum: float
    spent: float
    needed: float
    duration_s: float | None = None


class LlmRequested(StepEvent):
    """A request is about to be sent; `request_sha256` names all of it, `prompt_sha256` what is asked.

    `endpoint` is the server's address, `identity` what tells the model from a later
    one of its name. `dropped` are parameters that the provider cannot honour.
    `changed` says what kept the reply cache from answering: the parts of the
    request that differ from the one it was compared to. `worst_case` is the most that
    it can cost, should nobody hear how it ended; `reserved` what a budget holds back for it.
    """

    type: Literal["llm.requested"] = "llm.requested"
    attempt: int
    call: int
    provider: str
    model: str
    request: Payload
    request_sha256: Digest
    prompt_sha256: Digest
    dropped: tuple[str, ...] | None = None
    endpoint: str | None = None
    identity: str | None = None
    changed: tuple[str, ...] | None = None
    reserved: Reserved | None = None
    worst_case: WorstCase | None = None


class LlmResponded(StepEvent):
    """A reply arrived and is kept: it is never paid for again.

    `charged_usd` is what a budget was charged, where it has a limit in money.
    """

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
    charged_usd: float | None = None


class LlmFailed(StepEvent):
    """A call ended without a reply that can be used; `usage` is what it cost nevertheless.

    `unsent` marks one whose request cannot have reached the model.
    """

    type: Literal["llm.failed"] = "llm.failed"
    attempt: int
    call: int
    provider: str
    model: str
    kind: FailureKind
    message: str
    duration_s: float
    retry_after_s: float | None = None
    usage: TokenUsage | None = None
    charged_usd: float | None = None
    unsent: bool | None = None

    @property
    def is_in_doubt(self) -> bool:
        """Whether the model may have answered, and be paid for it, although nothing came of it."""
        return self.usage is None and not self.unsent and self.kind in _PERHAPS_ANSWERED


class CacheHit(StepEvent):
    """A call was answered by a reply that the ledger already holds; nothing was sent.

    `version` is that of the `llm.responded` in this stream, or in that of `paid_by`:
    the job and the step that asked first, where it was another one. Then `reply` and
    what follows are copied from there, so that this stream stands by itself.
    """

    type: Literal["cache.hit"] = "cache.hit"
    attempt: int
    call: int
    request_sha256: Digest
    version: int
    paid_by: CallRef | None = None
    prompt_sha256: Digest | None = None
    provider: str | None = None
    model: str | None = None
    reply: Payload | None = None
    finish_reason: str | None = None
    usage: TokenUsage | None = None


class ToolCalled(StepEvent):
    """A tool is about to be called for a model; `key` tells this call from every other of the step.

    `call` is the model call that asked for it.
    """

    type: Literal["tool.called"] = "tool.called"
    attempt: int
    call: int
    tool: str
    key: Digest
    arguments: Payload


class ToolReturned(StepEvent):
    """A tool has answered; the model is told `result`, and never again is the tool called for it."""

    type: Literal["tool.returned"] = "tool.returned"
    attempt: int
    call: int
    tool: str
    key: Digest
    result: Payload
    is_error: bool | None = None
    duration_s: float


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
    | JobAmended
    | JobInterrupted
    | JobWaiting
    | BudgetRaised
    | BudgetExceeded
    | JobSucceeded
    | JobFailed
    | JobCancelling
    | JobCancelled
    | CircuitOpened
    | CircuitClosed
    | StepStarted
    | StepSwitched
    | StepExpanded
    | ApprovalRequested
    | ApprovalDecided
    | StepSucceeded
    | StepFailed
    | StepSkipped
    | StepInterrupted
    | StepReused
    | LlmRequested
    | LlmResponded
    | LlmFailed
    | CacheHit
    | ToolCalled
    | ToolReturned
    | FileWritten
    | BlobRemoved
)

EVENT_TYPES: dict[str, type[AnyEvent]] = {
    model.model_fields["type"].default: model for model in AnyEvent.__args__
}
SHAPES: dict[str, int] = {}
"""The number of an event type's present shape, where it is not 1."""


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

"""The events: every fact that a job's stream can hold, as frozen pydantic models.

An event's `type`, `step` and `attempt` are columns of the table; the rest of
its fields are the `data` column. Optional fields may be added to a model
freely. A change that old data does not fit raises the type's number in
`SHAPES` and brings a function in `upcasts.py`. No type is ever renamed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orc.ledger.call_events import CacheHit as CacheHit
from orc.ledger.call_events import LlmFailed as LlmFailed
from orc.ledger.call_events import LlmRequested as LlmRequested
from orc.ledger.call_events import LlmResponded as LlmResponded
from orc.ledger.call_events import ToolCalled as ToolCalled
from orc.ledger.call_events import ToolReturned as ToolReturned
from orc.ledger.digest import Digest
from orc.ledger.event_base import Event as Event
from orc.ledger.event_base import JobEvent as JobEvent
from orc.ledger.event_base import StepEvent as StepEvent
from orc.ledger.kinds import PersonNeeded
from orc.ledger.reuse_events import BlobRemoved as BlobRemoved
from orc.ledger.reuse_events import JobAmended as JobAmended
from orc.ledger.reuse_events import StepReused as StepReused
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
    `signal_id` is the last wish that an ended job had been sent: it asks for nothing more.
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

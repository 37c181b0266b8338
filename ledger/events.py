"""The event types, as frozen pydantic models.

In order: events of the job, of its steps, of their calls to models and tools, and of the files
that they write. An event's `type`, `step` and `attempt` are columns of the table; its other
fields are in the `data` column. Optional fields may be added. A change that old data does not
fit needs a higher number in `SHAPES` and a function in `upcasts.py`. Types are never renamed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from orc.ledger.digest import Digest
from orc.ledger.kinds import HookName, PersonNeeded
from orc.ledger.servers.server_def import PriceDef as PriceDef
from orc.ledger.values import CallRef as CallRef
from orc.ledger.values import ChildShape as ChildShape
from orc.ledger.values import Failure as Failure
from orc.ledger.values import FailureKind as FailureKind
from orc.ledger.values import FileRef as FileRef
from orc.ledger.values import Frozen as Frozen
from orc.ledger.values import JobId as JobId
from orc.ledger.values import Limit as Limit
from orc.ledger.values import Owner as Owner
from orc.ledger.values import Payload as Payload
from orc.ledger.values import QueuedRun as QueuedRun
from orc.ledger.values import Reserved as Reserved
from orc.ledger.values import SkipReason as SkipReason
from orc.ledger.values import StepId as StepId
from orc.ledger.values import TokenUsage as TokenUsage
from orc.ledger.values import ToleratedCount as ToleratedCount
from orc.ledger.values import WorstCase as WorstCase

HookOutcome = Literal["exited", "timeout", "stop", "not_started", "unknown"]
_IN_DOUBT_KINDS: frozenset[FailureKind] = frozenset(("timeout", "connection", "protocol"))


class Event(Frozen):
    """Base of all events."""


class JobEvent(Event):
    """An event of the job as a whole."""


class StepEvent(Event):
    """An event of one step; `attempt` is the number of the attempt, from 1."""

    step: str
    attempt: int | None = None


class JobSubmitted(JobEvent):
    """A job was submitted: its spec as resolved and as written, and where it was submitted.

    `spec` is the resolved definition, `source` the text of the spec file. `spec_dir`, `submit_dir`,
    `runs_dir` and the spec's `output_dir` are relative to the ledger's folder, or absolute.
    `ledger_dir` was that folder; without it, all are absolute. `replay_of` is the job
    whose recorded replies this job uses. `forked_from` is the job whose results it starts with, as
    they were after its event `forked_at`; each step in the items of the steps `kept_items` whose work
    is that of there takes its result from there when it is due (`step.reused`).
    `queued`: the job waits for a worker (`orc work`), which runs it in this way.
    """

    type: Literal["job.submitted"] = "job.submitted"
    project: str
    spec: Payload
    source: Payload
    source_name: str
    spec_dir: str
    submit_dir: str
    runs_dir: str
    ledger_dir: str | None = None
    inputs: Payload
    replies: Payload | None = None
    replay_of: str | None = None
    forked_from: str | None = None
    forked_at: int | None = None
    kept_items: tuple[str, ...] | None = None
    queued: QueuedRun | None = None
    orc_version: str


class JobStarted(JobEvent):
    """A process became the owner of a new job.

    With `only`, the owner runs these steps and the steps that they need, and then stops.
    `from_queue`: the owner is a worker, which took the job from the queue.
    """

    type: Literal["job.started"] = "job.started"
    owner: Owner
    only: tuple[str, ...] | None = None
    from_queue: bool | None = None


class JobResumed(JobEvent):
    """A process became the owner of a stopped job; steps that did not succeed are reopened.

    `timeout_s` replaces the job's time limit, which counts the time of all owners. `signal_id`
    is the last signal that was sent after the job had ended; signals up to it are ignored.
    `kept` are steps that are not reopened: they stay skipped, or stay failed inside a step that
    succeeded. `only` and `from_queue` are as in `job.started`.
    """

    type: Literal["job.resumed"] = "job.resumed"
    owner: Owner
    replies: Payload | None = None
    provider: str | None = None
    timeout_s: float | None = None
    signal_id: int | None = None
    kept: tuple[str, ...] | None = None
    only: tuple[str, ...] | None = None
    from_queue: bool | None = None


class JobAmended(JobEvent):
    """The job continues with this spec, which is in `spec_dir` as `job.submitted` records it.

    `reset` steps run again, and `removed` steps are no longer part of the job; neither own files
    any more. Those of `kept_items` run again too, and each step in their items whose work is that of
    before takes its result from before (`step.reused`). `fresh` steps do not use the caches. All
    other steps keep their results; `rescored` ones, with the steps inside them, lose their scores,
    which are computed again from the results. `signal_id` and `kept` are as in `job.resumed`.
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
    kept_items: tuple[str, ...] | None = None
    replies: Payload | None = None
    signal_id: int | None = None
    kept: tuple[str, ...] | None = None
    rescored: tuple[str, ...] | None = None


class JobInterrupted(JobEvent):
    """The owner stopped before the job ended; the job can be resumed.

    `signal` is the signal that stopped the owner; without one and without `queue`, all steps of
    `only` have ended. With `queue`, the owner was a worker: `back` returns the job to the queue for
    another worker; `left` takes it out, since `crashes` workers in a row died without progress.
    """

    type: Literal["job.interrupted"] = "job.interrupted"
    signal: str | None = None
    queue: Literal["back", "left"] | None = None
    crashes: int | None = None


class CircuitOpened(JobEvent):
    """Calls to a target failed `failures` times in a row: its steps do not start for a while.

    After `cooldown_s`, at `retry_at` in seconds since 1970, one step may try. `kind` and
    `message` describe the last failure.
    """

    type: Literal["circuit.opened"] = "circuit.opened"
    target: str
    failures: int
    cooldown_s: float
    retry_at: float
    kind: FailureKind
    message: str


class CircuitClosed(JobEvent):
    """The trial call to the target succeeded; all its steps may start again."""

    type: Literal["circuit.closed"] = "circuit.closed"
    target: str


class BudgetRaised(JobEvent):
    """A person raised a budget: these limits replace the earlier ones.

    `account` is the step whose budget was raised; without it, the job's budget was.
    """

    type: Literal["budget.raised"] = "budget.raised"
    account: str | None = None
    max_cost_nano_usd: int | None = None
    max_tokens: int | None = None
    max_calls: int | None = None
    signal_id: int | None = None


class JobWaiting(JobEvent):
    """The owner stopped because the job needs a person to continue; `steps` wait for that."""

    type: Literal["job.waiting"] = "job.waiting"
    reason: PersonNeeded
    steps: tuple[str, ...]


class JobSucceeded(JobEvent):
    """Every step has ended, and each failure was tolerated."""

    type: Literal["job.succeeded"] = "job.succeeded"


class JobFailed(JobEvent):
    """Every step has ended, and some failed; `failures` lists at most 1,000 of them."""

    type: Literal["job.failed"] = "job.failed"
    failures: tuple[Failure, ...]
    failures_total: int


class JobCancelling(JobEvent):
    """Cancellation was requested: all open steps are cancelled except `steps`.

    These have `always()` or `cancelled()` in their condition. When they have ended, the job is
    cancelled.
    """

    type: Literal["job.cancelling"] = "job.cancelling"
    steps: tuple[str, ...]
    signal_id: int | None = None
    reason: str | None = None


class JobCancelled(JobEvent):
    """The job was cancelled on request, with all steps that had not ended."""

    type: Literal["job.cancelled"] = "job.cancelled"
    signal_id: int | None = None
    reason: str | None = None


class HookStarted(JobEvent):
    """A hook is about to run; committed in one transaction with the event that is its occasion.

    `occasion` is the version of that event: the end of the job, or `job.waiting`.
    """

    type: Literal["hook.started"] = "hook.started"
    hook: HookName
    occasion: int


class HookEnded(JobEvent):
    """A hook ended; the job's result stays as it is.

    `outcome`: the command `exited`, was cut by its `timeout` or by a `stop` of the process, could
    not be started (`not_started`), or is `unknown`: the process died, and the command may have run.
    `message` says why it has no exit code, and `log` is the end of what it printed.
    """

    type: Literal["hook.ended"] = "hook.ended"
    hook: HookName
    occasion: int
    outcome: HookOutcome
    exit_code: int | None = None
    signal: str | None = None
    message: str | None = None
    duration_s: float | None = None
    log: Payload | None = None

    @property
    def is_good(self) -> bool:
        """Whether the command ran to its end and was content."""
        return self.outcome == "exited" and self.exit_code == 0


class JobTagged(JobEvent):
    """Tags were added to the job, or removed from it, by a person (`by`) or by an edited spec."""

    type: Literal["job.tagged"] = "job.tagged"
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    by: str | None = None
    signal_id: int | None = None


class JobNoted(JobEvent):
    """A person (`by`) wrote a note about the job."""

    type: Literal["job.noted"] = "job.noted"
    text: Payload
    by: str | None = None
    signal_id: int | None = None


class BlobRemoved(JobEvent):
    """The bytes of blobs that this stream names were removed from the ledger.

    `cause` is `prune` for the blobs of an old job and `redact` for confidential bytes.
    `size_bytes` is their total size. An event names at most 1,000 blobs. If the same bytes are
    stored again later, they can be read again.
    """

    type: Literal["blob.removed"] = "blob.removed"
    digests: tuple[Digest, ...]
    size_bytes: int
    cause: Literal["prune", "redact"]
    reason: str | None = None


class StepStarted(StepEvent):
    """An attempt is about to start; the event is committed before any side effect.

    `cache_key` is the digest of everything that the result depends on, if caching is on. With
    `executor`, the attempt waits for a worker of that executor: `step.placed` follows.
    """

    type: Literal["step.started"] = "step.started"
    attempt: int
    kind: str
    needs: tuple[str, ...]
    deadline_at: float | None = None
    cache_key: Digest | None = None
    executor: str | None = None


class StepConfigured(StepEvent):
    """The settings of a step that are templates were rendered, because the step is ready.

    `settings` has the fields of the step's definition with their values: `provider`, `model` and
    `base_url`, `fallback`, `params`, `output_schema`, `tools`, `timeout_s`, `total_timeout_s`, or
    `max_parallel`. They hold until a later event of this type replaces them.
    """

    type: Literal["step.configured"] = "step.configured"
    settings: dict[str, Any]


class StepPlaced(StepEvent):
    """A worker took the attempt, which may start there; committed before the permission is sent.

    `run` is the submission to the executor's engine that asked. `engine` identifies the engine's
    process, `worker` the worker, and `host` is the name of its machine.
    """

    type: Literal["step.placed"] = "step.placed"
    attempt: int
    run: str
    executor: str
    engine: str
    worker: str
    host: str


class StepUnplaced(StepEvent):
    """The placed attempt was never let start there; it waits for a worker again.

    `run` is the submission that was placed.
    """

    type: Literal["step.unplaced"] = "step.unplaced"
    attempt: int
    run: str
    reason: str


class StepReattached(StepEvent):
    """After a resume, the attempt was found where it had been placed: it goes on there."""

    type: Literal["step.reattached"] = "step.reattached"
    attempt: int
    run: str


class StepSwitched(StepEvent):
    """The step switched to another target: entry `fallback` of its list, from 1.

    `attempt` is the step's last attempt, 0 if there was none. `message` is the reason.
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
    """An attempt succeeded; its output is the step's result.

    `folders` are empty folders that belong to it, by their paths in `outputs/`. `executor` is present
    if it is not `local`, with the time that the attempt waited for a worker.
    """

    type: Literal["step.succeeded"] = "step.succeeded"
    attempt: int
    output: Payload
    duration_s: float
    log: Payload | None = None
    artifacts: tuple[FileRef, ...] | None = None
    folders: tuple[str, ...] | None = None
    warning: str | None = None
    executor: str | None = None
    queued_s: float | None = None


class StepFailed(StepEvent):
    """An attempt failed. With `retry_at` another attempt follows; otherwise the step has failed.

    `retry_at` is in seconds since 1970, and `delay_s` is the delay after the failure.
    `tolerated` marks a final failure in spite of which the job continues. `on_content` marks a
    failure caused by a reply's content: the next attempt must not use recorded replies. `executor`
    and `queued_s` are as in `step.succeeded`.
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
    executor: str | None = None
    queued_s: float | None = None


class StepExpanded(StepEvent):
    """Steps were created inside this one: items of a fan-out, a round, or members of a group.

    `children` are their ids, at most 1,000 per event; the first is number `first` of `total`.
    `values` are the values of these items, in order, or a group's inputs. `keys` are their keys as
    the spec gives them, if one of them is no name for an id. `shapes` has one entry for all children
    or one for each. `variable` is the items' variable, if it is not `item`, and `repeat` how many
    items in a row have the same value. `with_matrix` says that each value has an `item` and its
    combination of the `matrix`.
    """

    type: Literal["step.expanded"] = "step.expanded"
    attempt: int
    children: tuple[str, ...]
    first: int
    total: int
    values: Payload | None = None
    keys: tuple[str, ...] | None = None
    shapes: tuple[ChildShape, ...]
    variable: str | None = None
    repeat: int | None = None
    with_matrix: bool | None = None


class StepSkipped(StepEvent):
    """The step will not run; `because` names the steps that are the reason (at most 20).

    `condition` is the step's own condition, if that did not hold.
    """

    type: Literal["step.skipped"] = "step.skipped"
    reason: SkipReason
    because: tuple[str, ...]
    condition: str | None = None


class StepReused(StepEvent):
    """The step reused the result of `from_step` in `from_job`, recorded there at `version`.

    The event has a full copy of the result, so that this stream is complete without the other
    one. `reason` is `fork` for a result that a fork started with, `cache` for a result that was
    found by its key, and `amend` for that in an item whose work an amendment did not change. `folders`
    and `warning` are those of the result, and `tolerated` the failures in spite of which the step
    has it. A fork begins with the `step.expanded` of each step that it takes over, and with the ends
    of the steps inside; those have attempt 0, and a failure there is one that was tolerated.
    """

    type: Literal["step.reused"] = "step.reused"
    from_job: str
    from_step: str
    version: int
    reason: Literal["fork", "cache", "amend"]
    output: Payload
    files: tuple[FileRef, ...] = ()
    folders: tuple[str, ...] | None = None
    artifacts: tuple[FileRef, ...] | None = None
    log: Payload | None = None
    warning: str | None = None
    tolerated: tuple[ToleratedCount, ...] | None = None


class ApprovalRequested(StepEvent):
    """A human review was requested; without a decision, `on_timeout` is chosen at `expires_at`.

    `expires_at` is in seconds since 1970, `timeout_s` after the request.
    """

    type: Literal["approval.requested"] = "approval.requested"
    attempt: int
    message: str
    options: tuple[str, ...]
    timeout_s: float | None = None
    expires_at: float | None = None
    on_timeout: str | None = None


class ApprovalDecided(StepEvent):
    """A human review was decided by a person (`by`) or by its timeout (then `by` is absent)."""

    type: Literal["approval.decided"] = "approval.decided"
    attempt: int
    option: str
    comment: str | None = None
    by: str | None = None
    signal_id: int | None = None


class StepInterrupted(StepEvent):
    """An attempt was interrupted by a signal, a cancellation or a crash; it has no outcome.

    `worker` means that its worker was lost.
    """

    type: Literal["step.interrupted"] = "step.interrupted"
    attempt: int
    reason: Literal["signal", "cancel", "crash", "worker"]
    duration_s: float | None = None
    log: Payload | None = None


class BudgetExceeded(StepEvent):
    """A call would exceed a limit and is not sent; its step waits until the budget is raised.

    `account` is the step that has the budget; without it, it is the job's budget. `limit` gives
    the unit of the amounts: tokens, calls or nano-dollars.
    """

    type: Literal["budget.exceeded"] = "budget.exceeded"
    attempt: int
    account: str | None = None
    limit: Limit
    maximum: int
    spent: int
    needed: int
    duration_s: float | None = None


class LlmRequested(StepEvent):
    """A request is about to be sent.

    `request_sha256` is the digest of the whole request, `prompt_sha256` that of the prompt alone.
    `endpoint` is the server's address. `identity` distinguishes the model from a later one with
    the same name. `dropped` are parameters that the provider does not support. `changed` are the
    parts of the request that differ from the cached request it was compared to. `worst_case` is
    the most that the call can cost, and is charged if its outcome stays unknown. `reserved` is
    what a budget reserves for it. `corrects` is what was wrong with the reply before, which the
    call asks the model to correct.
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
    corrects: str | None = None


class LlmResponded(StepEvent):
    """A reply arrived. It is recorded, so the same call is never paid for again.

    `usage` is absent if the server did not report it: then it is unknown and not zero, and
    `charged_tokens` is the worst case that budgets and rates count. `charged_nano_usd` is the amount
    charged to the budgets, if one of them limits the cost. `reported_nano_usd` is the cost of the
    call as the server itself reports it. `price` is the model's price at a named server, if its
    definition has one.
    """

    type: Literal["llm.responded"] = "llm.responded"
    attempt: int
    call: int
    provider: str
    model: str
    reply: Payload
    request_sha256: Digest
    finish_reason: str
    usage: TokenUsage | None = None
    duration_s: float
    request_id: str | None = None
    charged_nano_usd: int | None = None
    price: PriceDef | None = None
    charged_tokens: int | None = None
    reported_nano_usd: int | None = None


class LlmFailed(StepEvent):
    """A call ended without a usable reply; `usage` is what it used nevertheless.

    With `partial`, the reply had begun: `usage` is what was counted until it broke off.
    `unsent` marks a call whose request cannot have reached the model, and `absent` one for which no
    server was running on this machine. `price` is as in `llm.responded`.
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
    charged_nano_usd: int | None = None
    unsent: bool | None = None
    absent: bool | None = None
    price: PriceDef | None = None
    partial: bool | None = None

    @property
    def is_in_doubt(self) -> bool:
        """Whether the model may have answered, at a cost, although no reply arrived."""
        if self.unsent:
            return False
        return bool(self.partial) or (self.usage is None and self.kind in _IN_DOUBT_KINDS)


class CacheHit(StepEvent):
    """A recorded reply answered a call; no request was sent.

    `version` is the version of the `llm.responded` event, in this stream or, with `paid_by`, in
    the stream of that call's job. In the second case `reply` and the fields after it are
    copies, so that this stream is complete without the other one, and `corrects` is as in
    `llm.requested` and `price` as in `llm.responded`.
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
    corrects: str | None = None
    price: PriceDef | None = None


class ToolCalled(StepEvent):
    """A tool is about to be called for a model.

    `key` identifies the tool call within the step. `call` is the model call that requested it.
    """

    type: Literal["tool.called"] = "tool.called"
    attempt: int
    call: int
    tool: str
    key: Digest
    arguments: Payload


class ToolReturned(StepEvent):
    """A tool returned `result`, which is sent to the model. This tool call is never repeated."""

    type: Literal["tool.returned"] = "tool.returned"
    attempt: int
    call: int
    tool: str
    key: Digest
    result: Payload
    is_error: bool | None = None
    duration_s: float


class ScoreRecorded(StepEvent):
    """A score of the result that attempt `attempt` of `step` had; 0 for a reused result.

    `value` is a number, or a boolean: whether the result passed. With `error` there is no value,
    since the expression is broken. `who` gave the score: an `expression` of the step's own `score`
    key, a `judge` (the `score` key of another step), or a `human`. `by_step` is the step with the
    expression, `by` the person.
    """

    type: Literal["score.recorded"] = "score.recorded"
    attempt: int
    name: str
    value: bool | float | None = None
    error: str | None = None
    why: Payload | None = None
    who: Literal["expression", "judge", "human"]
    by_step: str | None = None
    by: str | None = None
    signal_id: int | None = None


class FileWritten(StepEvent):
    """A step wrote a file; its bytes are committed with this event.

    `path` is relative to the job's `outputs/`. `reason` is `nochange` if the file existed with
    the same content. `mode` has the permission bits as three octal digits, such as `755`; it is
    absent for an ordinary file.
    """

    type: Literal["file.written"] = "file.written"
    attempt: int
    path: str
    sha256: Digest
    size_bytes: int
    media_type: str
    reason: Literal["nochange"] | None = None
    mode: str | None = None


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
    | HookStarted
    | HookEnded
    | CircuitOpened
    | CircuitClosed
    | StepConfigured
    | StepStarted
    | StepPlaced
    | StepUnplaced
    | StepReattached
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
    | ScoreRecorded
    | JobTagged
    | JobNoted
    | BlobRemoved
)

EVENT_TYPES: dict[str, type[AnyEvent]] = {
    model.model_fields["type"].default: model for model in AnyEvent.__args__
}
SHAPES: dict[str, int] = {
    "budget.exceeded": 2,
    "budget.raised": 2,
    "llm.failed": 2,
    "llm.requested": 2,
    "llm.responded": 2,
}
"""The current shape of each event type whose shape is not 1."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event with its version in the stream (from 1) and its time (UTC, as text).

    `position` (its number in the whole ledger) and `hash` are set once it is stored.
    """

    job_id: JobId
    version: int
    recorded_at: str
    event: AnyEvent
    position: int = 0
    hash: str = ""

"""The events of a job as a whole: its runs and ends, its hooks, circuits and tags."""

from __future__ import annotations

from typing import ClassVar, Literal

from orc.ledger.digest import Digest
from orc.ledger.events.base import JobEvent
from orc.ledger.kinds import HookName, WaitReason
from orc.ledger.values import Failure, FailureKind, Owner, Payload, QueuedRun

HookOutcome = Literal["exited", "timeout", "stop", "not_started", "unknown"]


class JobSubmitted(JobEvent, frozen=True, kw_only=True):
    """A job was submitted: its spec as resolved and as written, and where it was submitted.

    `spec` is the resolved definition, `source` the text of the spec file. `spec_dir`, `submit_dir`,
    `runs_dir` and the spec's `output_dir` are relative to the ledger's folder, or absolute.
    `ledger_dir` was that folder; without it, all are absolute. `replay_of` is the job
    whose recorded replies this job uses. `forked_from` is the job whose results it starts with, as
    they were after its event `forked_at`; each step in the items of the steps `kept_items` whose work
    is that of there takes its result from there when it is due (`step.reused`).
    `queued`: the job waits for a worker (`orc work`), which runs it in this way.
    """

    type: ClassVar[Literal["job.submitted"]] = "job.submitted"
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


class JobStarted(JobEvent, frozen=True, kw_only=True):
    """A process became the owner of a new job.

    With `only`, the owner runs these steps and the steps that they need, and then stops.
    `from_queue`: the owner is a worker, which took the job from the queue.
    """

    type: ClassVar[Literal["job.started"]] = "job.started"
    owner: Owner
    only: tuple[str, ...] | None = None
    from_queue: bool | None = None


class JobResumed(JobEvent, frozen=True, kw_only=True):
    """A process became the owner of a stopped job; steps that did not succeed are reopened.

    `timeout_s` replaces the job's time limit, which counts the time of all owners. `signal_id`
    is the last signal that was sent after the job had ended; signals up to it are ignored.
    `kept` are steps that are not reopened: they stay skipped, or stay failed inside a step that
    succeeded. `only` and `from_queue` are as in `job.started`.
    """

    type: ClassVar[Literal["job.resumed"]] = "job.resumed"
    owner: Owner
    replies: Payload | None = None
    provider: str | None = None
    timeout_s: float | None = None
    signal_id: int | None = None
    kept: tuple[str, ...] | None = None
    only: tuple[str, ...] | None = None
    from_queue: bool | None = None


class JobAmended(JobEvent, frozen=True, kw_only=True):
    """The job continues with this spec, which is in `spec_dir` as `job.submitted` records it.

    `reset` steps run again, and `removed` steps are no longer part of the job; neither own files
    any more. Those of `kept_items` run again too, and each step in their items whose work is that of
    before takes its result from before (`step.reused`). `fresh` steps do not use the caches. All
    other steps keep their results; `rescored` ones, with the steps inside them, lose their scores,
    which are computed again from the results. `signal_id` and `kept` are as in `job.resumed`.
    """

    type: ClassVar[Literal["job.amended"]] = "job.amended"
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


class JobInterrupted(JobEvent, frozen=True, kw_only=True):
    """The owner stopped before the job ended; the job can be resumed.

    `signal` is the signal that stopped the owner; without one and without `queue`, all steps of
    `only` have ended. With `queue`, the owner was a worker: `back` returns the job to the queue for
    another worker; `left` takes it out, since `crashes` workers in a row died without progress.
    """

    type: ClassVar[Literal["job.interrupted"]] = "job.interrupted"
    signal: str | None = None
    queue: Literal["back", "left"] | None = None
    crashes: int | None = None


class CircuitOpened(JobEvent, frozen=True, kw_only=True):
    """Calls to a target failed `failures` times in a row: its steps do not start for a while.

    After `cooldown_s`, at `retry_at` in seconds since 1970, one step may try. `kind` and
    `message` describe the last failure. With `waits_since`, in seconds since 1970, the server was not
    ready, and the steps wait for it (`wait_for_server`).
    """

    type: ClassVar[Literal["circuit.opened"]] = "circuit.opened"
    target: str
    failures: int
    cooldown_s: float
    retry_at: float
    kind: FailureKind
    message: str
    waits_since: float | None = None


class CircuitClosed(JobEvent, frozen=True, kw_only=True):
    """The trial call to the target succeeded; all its steps may start again."""

    type: ClassVar[Literal["circuit.closed"]] = "circuit.closed"
    target: str


class BudgetRaised(JobEvent, frozen=True, kw_only=True, tag_field="v", tag=2):
    """A person raised a budget: these limits replace the earlier ones.

    `account` is the step whose budget was raised; without it, the job's budget was.
    """

    type: ClassVar[Literal["budget.raised"]] = "budget.raised"
    account: str | None = None
    max_cost_nano_usd: int | None = None
    max_tokens: int | None = None
    max_calls: int | None = None
    signal_id: int | None = None


class JobWaiting(JobEvent, frozen=True, kw_only=True):
    """The owner stopped because the job needs a person to continue; `steps` wait for that.

    With the reason `batch`, they wait for a server that works on their requests.
    """

    type: ClassVar[Literal["job.waiting"]] = "job.waiting"
    reason: WaitReason
    steps: tuple[str, ...]


class JobSucceeded(JobEvent, frozen=True, kw_only=True):
    """Every step has ended, and each failure was tolerated."""

    type: ClassVar[Literal["job.succeeded"]] = "job.succeeded"


class JobFailed(JobEvent, frozen=True, kw_only=True):
    """Every step has ended, and some failed; `failures` lists at most 1,000 of them."""

    type: ClassVar[Literal["job.failed"]] = "job.failed"
    failures: tuple[Failure, ...]
    failures_total: int


class JobCancelling(JobEvent, frozen=True, kw_only=True):
    """Cancellation was requested: all open steps are cancelled except `steps`.

    These have `always()` or `cancelled()` in their condition. When they have ended, the job is
    cancelled.
    """

    type: ClassVar[Literal["job.cancelling"]] = "job.cancelling"
    steps: tuple[str, ...]
    signal_id: int | None = None
    reason: str | None = None


class JobCancelled(JobEvent, frozen=True, kw_only=True):
    """The job was cancelled on request, with all steps that had not ended."""

    type: ClassVar[Literal["job.cancelled"]] = "job.cancelled"
    signal_id: int | None = None
    reason: str | None = None


class HookStarted(JobEvent, frozen=True, kw_only=True):
    """A hook is about to run; committed in one transaction with the event that is its occasion.

    `occasion` is the version of that event: the end of the job, or `job.waiting`.
    """

    type: ClassVar[Literal["hook.started"]] = "hook.started"
    hook: HookName
    occasion: int


class HookEnded(JobEvent, frozen=True, kw_only=True):
    """A hook ended; the job's result stays as it is.

    `outcome`: the command `exited`, was cut by its `timeout` or by a `stop` of the process, could
    not be started (`not_started`), or is `unknown`: the process died, and the command may have run.
    `message` says why it has no exit code, and `log` is the end of what it printed.
    """

    type: ClassVar[Literal["hook.ended"]] = "hook.ended"
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


class JobTagged(JobEvent, frozen=True, kw_only=True):
    """Tags were added to the job, or removed from it, by a person (`by`) or by an edited spec."""

    type: ClassVar[Literal["job.tagged"]] = "job.tagged"
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    by: str | None = None
    signal_id: int | None = None


class JobNoted(JobEvent, frozen=True, kw_only=True):
    """A person (`by`) wrote a note about the job."""

    type: ClassVar[Literal["job.noted"]] = "job.noted"
    text: Payload
    by: str | None = None
    signal_id: int | None = None


class BlobRemoved(JobEvent, frozen=True, kw_only=True):
    """The bytes of blobs that this stream names were removed from the ledger.

    `cause` is `prune` for the blobs of an old job and `redact` for confidential bytes.
    `size_bytes` is their total size. An event names at most 1,000 blobs. If the same bytes are
    stored again later, they can be read again.
    """

    type: ClassVar[Literal["blob.removed"]] = "blob.removed"
    digests: tuple[Digest, ...]
    size_bytes: int
    cause: Literal["prune", "redact"]
    reason: str | None = None

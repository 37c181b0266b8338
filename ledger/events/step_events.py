"""The events of steps: their attempts, decisions, scores and files."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from orc.ledger.digest import Digest
from orc.ledger.events.base import StepEvent
from orc.ledger.values import ChildShape, FailureKind, FileRef, Payload, SkipReason, ToleratedCount


class StepStarted(StepEvent, frozen=True, kw_only=True):
    """An attempt is about to start; the event is committed before any side effect.

    `cache_key` is the digest of everything that the result depends on, if caching is on. With
    `executor`, the attempt waits for a worker of that executor: `step.placed` follows.
    """

    type: ClassVar[Literal["step.started"]] = "step.started"
    attempt: int
    kind: str
    needs: tuple[str, ...]
    deadline_at: float | None = None
    cache_key: Digest | None = None
    executor: str | None = None


class StepConfigured(StepEvent, frozen=True, kw_only=True):
    """The settings of a step that are templates were rendered, because the step is ready.

    `settings` has the fields of the step's definition with their values: `provider`, `model` and
    `base_url`, `fallback`, `params`, `output_schema`, `tools`, `timeout_s`, `attempt_timeout_s`,
    `total_timeout_s`, or `max_parallel`. They hold until a later event of this type replaces them.
    """

    type: ClassVar[Literal["step.configured"]] = "step.configured"
    settings: dict[str, Any]


class StepPlaced(StepEvent, frozen=True, kw_only=True):
    """A worker took the attempt, which may start there; committed before the permission is sent.

    `run` is the submission to the executor's engine that asked. `engine` identifies the engine's
    process, `worker` the worker, and `host` is the name of its machine.
    """

    type: ClassVar[Literal["step.placed"]] = "step.placed"
    attempt: int
    run: str
    executor: str
    engine: str
    worker: str
    host: str


class StepUnplaced(StepEvent, frozen=True, kw_only=True):
    """The placed attempt was never let start there; it waits for a worker again.

    `run` is the submission that was placed.
    """

    type: ClassVar[Literal["step.unplaced"]] = "step.unplaced"
    attempt: int
    run: str
    reason: str


class StepReattached(StepEvent, frozen=True, kw_only=True):
    """After a resume, the attempt was found where it had been placed: it goes on there."""

    type: ClassVar[Literal["step.reattached"]] = "step.reattached"
    attempt: int
    run: str


class StepSwitched(StepEvent, frozen=True, kw_only=True):
    """The step switched to another target: entry `fallback` of its list, from 1.

    `attempt` is the step's last attempt, 0 if there was none. `message` is the reason.
    """

    type: ClassVar[Literal["step.switched"]] = "step.switched"
    attempt: int
    fallback: int
    from_target: str
    to_target: str
    provider: str
    model: str
    message: str


class StepSucceeded(StepEvent, frozen=True, kw_only=True):
    """An attempt succeeded; its output is the step's result.

    `folders` are empty folders that belong to it, by their paths in `outputs/`. `executor` is present
    if it is not `local`, with the time that the attempt waited for a worker.
    """

    type: ClassVar[Literal["step.succeeded"]] = "step.succeeded"
    attempt: int
    output: Payload
    duration_s: float
    log: Payload | None = None
    artifacts: tuple[FileRef, ...] | None = None
    folders: tuple[str, ...] | None = None
    warning: str | None = None
    executor: str | None = None
    queued_s: float | None = None


class StepFailed(StepEvent, frozen=True, kw_only=True):
    """An attempt failed. With `retry_at` another attempt follows; otherwise the step has failed.

    `retry_at` is in seconds since 1970, and `delay_s` is the delay after the failure.
    `tolerated` marks a final failure in spite of which the job continues. `on_content` marks a
    failure caused by a reply's content: the next attempt must not use recorded replies. `executor`
    and `queued_s` are as in `step.succeeded`.
    """

    type: ClassVar[Literal["step.failed"]] = "step.failed"
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


class StepExpanded(StepEvent, frozen=True, kw_only=True):
    """Steps were created inside this one: items of a fan-out, a round, or members of a group.

    `children` are their ids, at most 1,000 per event; the first is number `first` of `total`.
    `values` are the values of these items, in order, or a group's inputs. `keys` are their keys as
    the spec gives them, if one of them is no name for an id. `shapes` has one entry for all children
    or one for each. `variable` is the items' variable, if it is not `item`, and `repeat` how many
    items in a row have the same value. `with_matrix` says that each value has an `item` and its
    combination of the `matrix`.
    """

    type: ClassVar[Literal["step.expanded"]] = "step.expanded"
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


class StepSkipped(StepEvent, frozen=True, kw_only=True):
    """The step will not run; `because` names the steps that are the reason (at most 20).

    `condition` is the step's own condition, if that did not hold.
    """

    type: ClassVar[Literal["step.skipped"]] = "step.skipped"
    reason: SkipReason
    because: tuple[str, ...]
    condition: str | None = None


class StepReused(StepEvent, frozen=True, kw_only=True):
    """The step reused the result of `from_step` in `from_job`, recorded there at `version`.

    The event has a full copy of the result, so that this stream is complete without the other
    one. `reason` is `fork` for a result that a fork started with, `cache` for a result that was
    found by its key, and `amend` for that in an item whose work an amendment did not change. `folders`
    and `warning` are those of the result, and `tolerated` the failures in spite of which the step
    has it. A fork begins with the `step.expanded` of each step that it takes over, and with the ends
    of the steps inside; those have attempt 0, and a failure there is one that was tolerated.
    """

    type: ClassVar[Literal["step.reused"]] = "step.reused"
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


class ApprovalRequested(StepEvent, frozen=True, kw_only=True):
    """A human review was requested; without a decision, `on_timeout` is chosen at `expires_at`.

    `expires_at` is in seconds since 1970, `timeout_s` after the request.
    """

    type: ClassVar[Literal["approval.requested"]] = "approval.requested"
    attempt: int
    message: str
    options: tuple[str, ...]
    timeout_s: float | None = None
    expires_at: float | None = None
    on_timeout: str | None = None


class ApprovalDecided(StepEvent, frozen=True, kw_only=True):
    """A human review was decided by a person (`by`) or by its timeout (then `by` is absent)."""

    type: ClassVar[Literal["approval.decided"]] = "approval.decided"
    attempt: int
    option: str
    comment: str | None = None
    by: str | None = None
    signal_id: int | None = None


class StepInterrupted(StepEvent, frozen=True, kw_only=True):
    """An attempt was interrupted by a signal, a cancellation or a crash; it has no outcome.

    `worker` means that its worker was lost, `server` that its server is not ready: the step waits for it
    (`wait_for_server`); `batch` that the server does not have the batch with its call, which it may have
    had.
    """

    type: ClassVar[Literal["step.interrupted"]] = "step.interrupted"
    attempt: int
    reason: Literal["signal", "cancel", "crash", "worker", "server", "batch"]
    duration_s: float | None = None
    log: Payload | None = None


class ScoreRecorded(StepEvent, frozen=True, kw_only=True):
    """A score of the result that attempt `attempt` of `step` had; 0 for a reused result.

    `value` is a number, or a boolean: whether the result passed. With `error` there is no value,
    since the expression is broken. `who` gave the score: an `expression` of the step's own `score`
    key, a `judge` (the `score` key of another step), or a `human`. `by_step` is the step with the
    expression, `by` the person.
    """

    type: ClassVar[Literal["score.recorded"]] = "score.recorded"
    attempt: int
    name: str
    value: bool | float | None = None
    error: str | None = None
    why: Payload | None = None
    who: Literal["expression", "judge", "human"]
    by_step: str | None = None
    by: str | None = None
    signal_id: int | None = None


class FileWritten(StepEvent, frozen=True, kw_only=True):
    """A step wrote a file; its bytes are committed with this event.

    `path` is relative to the job's `outputs/`. `reason` is `nochange` if the file existed with
    the same content. `mode` has the permission bits as three octal digits, such as `755`; it is
    absent for an ordinary file.
    """

    type: ClassVar[Literal["file.written"]] = "file.written"
    attempt: int
    path: str
    sha256: Digest
    size_bytes: int
    media_type: str
    reason: Literal["nochange"] | None = None
    mode: str | None = None

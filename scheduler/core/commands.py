"""The commands that `decide` turns into events, and the outcomes of attempts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from orc.ledger.digest import Digest
from orc.ledger.events import (
    CacheHit,
    FailureKind,
    FileRef,
    JobAmended,
    JobSubmitted,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    Owner,
    Payload,
    StepExpanded,
    StepFailed,
    StepReused,
    StepSkipped,
    ToolCalled,
    ToolReturned,
)
from orc.ledger.values import Limit
from orc.scheduler.core.assessments import NoteJob, RecordScores, ScoreByPerson, TagJob
from orc.scheduler.core.batch_commands import LeaveBatches, RecordBatch, SubmitBatch
from orc.scheduler.core.hook_commands import EndHook, StartHook
from orc.scheduler.core.placing_commands import (
    EndPlaced,
    ExpireQueued,
    PlaceAttempt,
    ReattachAttempt,
    UnplaceAttempt,
)

CallEvent = LlmRequested | LlmResponded | LlmFailed | CacheHit | ToolCalled | ToolReturned
"""The events that an effect may record while it runs."""

MESSAGE_CHARS_MAX = 10_000
"""The maximum length of the message of a failure; it may quote texts of any length."""


def shorten_message(message: str) -> str:
    """The message, cut to its maximum length. Secrets must be masked before."""
    if len(message) <= MESSAGE_CHARS_MAX:
        return message
    return message[: MESSAGE_CHARS_MAX - 3] + "..."


class Succeeded(Struct, frozen=True):
    """The attempt succeeded. The paths of `files` and of empty `folders` are relative to `outputs/`.

    `queued_s` is how long an attempt of an executor waited for a worker; without it, the times of
    the events count.
    """

    output: Payload
    duration_s: float
    files: tuple[FileRef, ...] = ()
    log: Payload | None = None
    artifacts: tuple[FileRef, ...] | None = None
    warning: str | None = None
    queued_s: float | None = None
    folders: tuple[str, ...] = ()


class Failed(Struct, frozen=True):
    """The attempt failed: `final`, never to be retried; not `tolerable`, also for `continue_on_error`.

    `on_content`: the reply itself was wrong. `absent`: no server ran at an address of this machine.
    `not_ready`: the server may only have to be waited for.
    """

    kind: FailureKind
    message: str
    duration_s: float
    retry_after_s: float | None = None
    on_content: bool = False
    absent: bool = False
    not_ready: bool = False
    final: bool = False
    tolerable: bool = True
    exit_code: int | None = None
    signal: str | None = None
    log: Payload | None = None
    artifacts: tuple[FileRef, ...] | None = None
    queued_s: float | None = None


class Interrupted(Struct, frozen=True):
    """The attempt was interrupted by a stop signal, a cancel, or the loss of its worker or batch.

    `why` says more of a lost batch.
    """

    reason: Literal["signal", "cancel", "worker", "batch"]
    duration_s: float
    log: Payload | None = None
    why: str = ""


class OutOfBudget(Struct, frozen=True):
    """The attempt's next call does not fit a budget; the step waits until the budget is raised.

    The amounts of `max_cost_usd` are nano-dollars.
    """

    account: str
    limit: Limit
    maximum: int
    spent: int
    needed: int
    duration_s: float
    log: Payload | None = None


Outcome = Succeeded | Failed | Interrupted | OutOfBudget


class SubmitJob(Struct, frozen=True):
    """Create a job."""

    event: JobSubmitted


class StartJob(Struct, frozen=True):
    """Start a job that has not run yet. `only` limits the run to these steps and their needs.

    `from_queue`: the owner is a worker, which took the job from the queue.
    """

    owner: Owner
    only: tuple[str, ...] | None = None
    from_queue: bool = False


class ResumeJob(Struct, frozen=True):
    """Resume a job that has run before. `from_queue` is as in `StartJob`."""

    owner: Owner
    provider: str | None = None
    replies: Payload | None = None
    timeout_s: float | None = None
    signal_id: int | None = None
    only: tuple[str, ...] | None = None
    from_queue: bool = False


class AmendJob(Struct, frozen=True):
    """Change a job that is not running; a resume continues with the changed definition."""

    event: JobAmended


class ReuseStep(Struct, frozen=True):
    """End a step that has not started with a result from the ledger."""

    event: StepReused


class TakeOver(Struct, frozen=True):
    """Take over what another job has inside a step: an expansion, or an end without a result."""

    event: StepExpanded | StepFailed | StepSkipped


class ConfigureStep(Struct, frozen=True):
    """Give a step that is ready its settings, whose templates were rendered."""

    step: str
    settings: Mapping[str, Any]


class StartAttempt(Struct, frozen=True):
    """Start an attempt of a ready step; `now` is in seconds since 1970."""

    step: str
    now: float
    cache_key: Digest | None = None


class RecordCall(Struct, frozen=True):
    """Record an attempt's call to a model or a tool; `now` is in seconds since 1970."""

    event: CallEvent
    now: float = 0.0


class FinishAttempt(Struct, frozen=True):
    """End an attempt. `wait_s` is the wait before a retry, if there is one."""

    step: str
    attempt: int
    outcome: Outcome
    now: float
    wait_s: float = 0.0


class ExpireStep(Struct, frozen=True):
    """Fail a waiting step whose total_timeout is over."""

    step: str


class SkipStep(Struct, frozen=True):
    """Skip a step: its condition is false, or a step that it needs did not succeed."""

    step: str


class FailStep(Struct, frozen=True):
    """Fail a step before its first attempt, for instance because a template cannot be evaluated."""

    step: str
    failed: Failed


class ExpandStep(Struct, frozen=True):
    """Create the children of a container step, and start it if they are its first.

    `children` are their ids. `values` holds the items' values in lists of 1,000, or the inputs of
    a workflow. `keys` are the items' keys, if the ids have other names for some of them.
    """

    step: str
    children: tuple[str, ...]
    values: tuple[Payload, ...] = ()
    keys: tuple[str, ...] = ()


class AskAboutDoubt(Struct, frozen=True):
    """Ask a person whether a step in doubt may run again."""

    step: str


class AskPerson(Struct, frozen=True):
    """Start an approval. `message` is the question; `now` is in seconds since 1970."""

    step: str
    message: str
    now: float


class DecideApproval(Struct, frozen=True):
    """Record a decision. `by` is None when the time for an answer is over."""

    step: str
    option: str
    comment: str | None = None
    by: str | None = None
    signal_id: int | None = None


class RaiseBudget(Struct, frozen=True):
    """Set new limits for the budget of the job, or of one step."""

    account: str
    max_cost_nano_usd: int | None = None
    max_tokens: int | None = None
    max_calls: int | None = None
    signal_id: int | None = None


class PauseJob(Struct, frozen=True):
    """Pause a job that can continue only after a person acts: a decision, or a raised budget."""


class InterruptJob(Struct, frozen=True):
    """Stop the job because of a stop signal, or because the worker's time is over (None).

    A worker returns the job to the queue with `queue`. No attempt is running.
    """

    signal: str | None
    queue: Literal["back"] | None = None


class CancelJob(Struct, frozen=True):
    """Cancel the job. No attempt is running, or the owner of the running ones has died.

    `at_once` cancels steps with always() or cancelled() too, because no runner would run them.
    """

    signal_id: int | None = None
    reason: str | None = None
    at_once: bool = False


class TimeOutJob(Struct, frozen=True):
    """Fail the job because its timeout is over. No attempt is running."""


class Settle(Struct, frozen=True):
    """End the job if all its steps have ended."""


Command = (
    SubmitJob
    | StartJob
    | ResumeJob
    | AmendJob
    | ReuseStep
    | TakeOver
    | ConfigureStep
    | StartAttempt
    | PlaceAttempt
    | UnplaceAttempt
    | ReattachAttempt
    | EndPlaced
    | ExpireQueued
    | RecordCall
    | SubmitBatch
    | RecordBatch
    | LeaveBatches
    | FinishAttempt
    | ExpireStep
    | SkipStep
    | FailStep
    | ExpandStep
    | AskAboutDoubt
    | AskPerson
    | DecideApproval
    | RecordScores
    | ScoreByPerson
    | TagJob
    | NoteJob
    | RaiseBudget
    | PauseJob
    | InterruptJob
    | CancelJob
    | TimeOutJob
    | Settle
    | StartHook
    | EndHook
)

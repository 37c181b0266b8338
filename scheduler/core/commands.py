"""Commands, which `decide` answers with events, and the outcomes of attempts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
    StepReused,
    ToolCalled,
    ToolReturned,
)

CallEvent = LlmRequested | LlmResponded | LlmFailed | CacheHit | ToolCalled | ToolReturned
"""What an effect may journal while it runs."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The attempt gave a result; `files` are relative to `outputs/`."""

    output: Payload
    duration_s: float
    files: tuple[FileRef, ...] = ()
    log: Payload | None = None
    artifacts: tuple[FileRef, ...] | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed.

    `final` when another try is not wanted whatever the spec says; not `tolerable`
    when the job itself is at its end, and goes on from nothing.
    """

    kind: FailureKind
    message: str
    duration_s: float
    retry_after_s: float | None = None
    on_content: bool = False
    final: bool = False
    tolerable: bool = True
    exit_code: int | None = None
    signal: str | None = None
    log: Payload | None = None
    artifacts: tuple[FileRef, ...] | None = None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The attempt was cut short from outside."""

    reason: Literal["signal", "cancel"]
    duration_s: float
    log: Payload | None = None


@dataclass(frozen=True, slots=True)
class OutOfBudget:
    """The attempt has a call to send that does not fit a budget, and waits for more."""

    account: str
    limit: Literal["max_calls", "max_tokens", "max_cost_usd"]
    maximum: float
    spent: float
    needed: float
    duration_s: float
    log: Payload | None = None


Outcome = Succeeded | Failed | Interrupted | OutOfBudget


@dataclass(frozen=True, slots=True)
class SubmitJob:
    """Make a job exist."""

    event: JobSubmitted


@dataclass(frozen=True, slots=True)
class StartJob:
    """Begin to run a job that has not run yet, as its owner; `only` these steps, or all."""

    owner: Owner
    only: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ResumeJob:
    """Go on with a job that has run before, as its owner."""

    owner: Owner
    provider: str | None = None
    replies: Payload | None = None
    timeout_s: float | None = None
    signal_id: int | None = None
    only: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class AmendJob:
    """Change a job that nobody runs, so that a resume goes on with the change."""

    event: JobAmended


@dataclass(frozen=True, slots=True)
class ReuseStep:
    """End a step that has not started with a result that the ledger holds."""

    event: StepReused


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """Begin an attempt of a ready step; `now` in seconds since 1970."""

    step: str
    now: float
    cache_key: Digest | None = None


@dataclass(frozen=True, slots=True)
class RecordCall:
    """Keep what an attempt says of its calls to models and tools; `now` in seconds since 1970."""

    event: CallEvent
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class FinishAttempt:
    """An attempt has ended; `wait_s` is how long to wait should it be tried again."""

    step: str
    attempt: int
    outcome: Outcome
    now: float
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ExpireStep:
    """The step's total time is over while it waits."""

    step: str


@dataclass(frozen=True, slots=True)
class SkipStep:
    """The step's own condition does not hold."""

    step: str


@dataclass(frozen=True, slots=True)
class FailStep:
    """The step cannot begin: its condition, its items or its question cannot be worked out."""

    step: str
    failed: Failed


@dataclass(frozen=True, slots=True)
class ExpandStep:
    """Bring steps into being inside this one, which begins with the first of them.

    `children` are their ids; `values` the items' values, for each thousand of them.
    """

    step: str
    children: tuple[str, ...]
    values: tuple[Payload, ...] = ()


@dataclass(frozen=True, slots=True)
class AskAboutDoubt:
    """Ask a person whether a step may do again what it may have done."""

    step: str


@dataclass(frozen=True, slots=True)
class AskPerson:
    """Begin an approval: `message` is what the person reads; `now` in seconds since 1970."""

    step: str
    message: str
    now: float


@dataclass(frozen=True, slots=True)
class DecideApproval:
    """A person has decided, or nobody has in time: then `by` is none."""

    step: str
    option: str
    comment: str | None = None
    by: str | None = None
    signal_id: int | None = None


@dataclass(frozen=True, slots=True)
class RaiseBudget:
    """Let more be spent: new limits for the job, or for a step's own budget."""

    account: str
    max_cost_usd: float | None = None
    max_tokens: int | None = None
    max_calls: int | None = None
    signal_id: int | None = None


@dataclass(frozen=True, slots=True)
class PauseJob:
    """Stop where only a person can say how the job goes on."""


@dataclass(frozen=True, slots=True)
class InterruptJob:
    """The owner stops because of a signal; no attempt runs any more."""

    signal: str


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Someone wants the job to end; no attempt runs any more, or none with a live owner.

    `at_once` where nobody is there to run the steps that are meant for that.
    """

    signal_id: int | None = None
    reason: str | None = None
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class TimeOutJob:
    """The job's time is over; no attempt runs any more."""


@dataclass(frozen=True, slots=True)
class Settle:
    """End the job if every step has ended."""


Command = (
    SubmitJob
    | StartJob
    | ResumeJob
    | AmendJob
    | ReuseStep
    | StartAttempt
    | RecordCall
    | FinishAttempt
    | ExpireStep
    | SkipStep
    | FailStep
    | ExpandStep
    | AskAboutDoubt
    | AskPerson
    | DecideApproval
    | RaiseBudget
    | PauseJob
    | InterruptJob
    | CancelJob
    | TimeOutJob
    | Settle
)

"""The state of a job as data: its steps, and indexes for fast queries.

Only `evolve` (`evolve.py`) changes it. Bookkeeping that no event records is left to `WorkQueues`
in `queues.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct, field

from orc.ledger.definition import JobDef, TargetDef
from orc.ledger.digest import Digest
from orc.ledger.events import (
    Failure,
    FileRef,
    HookStarted,
    JobSubmitted,
    Payload,
    Reserved,
    SkipReason,
)
from orc.ledger.file_owners import FileOwners
from orc.ledger.kinds import JobStatus as JobStatus
from orc.ledger.kinds import StepStatus as StepStatus
from orc.ledger.kinds import WaitsFor as WaitsFor
from orc.ledger.money import usd_number
from orc.ledger.step_names import lineage
from orc.ledger.stored_struct import NO_ENTRIES, NO_ITEMS
from orc.ledger.values import Limits
from orc.scheduler.core.file_names import FileNames
from orc.scheduler.core.fold.batch_state import BatchedCall, BatchOfJob
from orc.scheduler.core.fold.graph import Graph
from orc.scheduler.core.placing_commands import WorkerPlace

Doubt = Literal["call", "tool", "work"]
"""What is in doubt: a call to a model, a call of a tool, or the work of a command or function."""


class CommittedReply(Struct, frozen=True):
    """A reply in the job's stream, which a later attempt can use again, or its own continued."""

    version: int
    call: int
    request_sha256: Digest
    reply: Payload
    finish_reason: str
    attempt: int


class CommittedResult(Struct, frozen=True):
    """The result of a tool call in the job's stream."""

    result: Payload
    is_error: bool


class Circuit(Struct):
    """The circuit of one target. `failures` counts the transient failures in a row.

    It is open while `retry_at` (seconds since 1970) is set. `probe` is the step that was let
    through after that time. `waits_since`: since when its steps wait until the server is ready.
    `is_limit`: it opened for a rate limit, and not for an outage.
    """

    failures: int = 0
    retry_at: float | None = None
    probe: str | None = None
    waits_since: float | None = None
    is_limit: bool = False


class AdaptiveRoom(Struct):
    """The adaptive concurrency limit of a provider, and the version of the last halving event."""

    limit: float
    halved_at: int


class Inside(Struct):
    """The children of a container step.

    `children` are their ids in order. `total` is their number when all are created, `open` the
    number of those that have not ended. `held` children wait until another child ends
    (max_parallel). `values` holds the items' values in lists of 1,000, or a workflow's inputs;
    `keys` their keys, in such lists too, where ids have other names.
    """

    total: int = 0
    open: int = 0
    children: list[str] = field(default_factory=list)
    held: deque[str] = field(default_factory=deque)
    values: list[Payload] = field(default_factory=list)
    keys: list[tuple[str, ...]] = field(default_factory=list)


class OpenQuestion(Struct, frozen=True):
    """An open question. At `expires_at` (seconds since 1970) the decision is `on_timeout`.

    `timeout_s` is how long it was open at most when it was asked.
    """

    message: str
    options: tuple[str, ...]
    expires_at: float | None = None
    on_timeout: str | None = None
    timeout_s: float | None = None


class Spent(Struct):
    """What is spent on an account, and what is reserved (`held_*`) for calls in flight."""

    calls: int = 0
    tokens: int = 0
    nano_usd: int = 0
    held_tokens: int = 0
    held_nano_usd: int = 0


class WorkItem(Struct, frozen=True, gc=False):
    """Work that an event makes possible for a step: at once, or `at` a time in seconds since 1970.

    `start`: the step may start. `evaluate`: the step is due for evaluation (its condition, its
    items, or its children's results). `retry`: it may start again at that time. `deadline`: its
    total_timeout is over then. `expiry`: the time for an answer is over then. `queued`: its attempt
    fails then, unless a worker has taken it. An item to start
    or retry is valid while the step has its `ticket`.
    """

    kind: Literal["start", "evaluate", "retry", "deadline", "expiry", "queued"]
    step: str
    ticket: int = 0
    at: float = 0.0


class StepState(Struct, gc=False):
    """The state of one step.

    `needs_left`: how many needs have not ended yet in a way that lets the step start;
    `needs_shut`: how many of them have ended in a way that does not.
    `ticket`: the number of the valid work item to start the step; 0 if there is none.
    `calls_recorded`: how many calls used up a recorded reply.
    `fallback`: the index of the current target in the step's list; `lane` names the route from
    there. `fresh`: the step ignores caches. `keeps_items`: the steps in its items whose work is that
    of before the last amendment take their results from before; `keeps_values`: also each item as a
    whole whose value is that of before.
    `parent`: its container; `number`: its position there (an item's from 0, a round's from 1).
    `in_flight`: a call to a model or tool that has not ended.
    `in_doubt`: what an interrupted attempt may have done, until it is decided.
    `calls_in_doubt`: how many calls may have been processed and billed without a recorded reply.
    `began_at`: when a container began, in seconds since 1970.
    `upstream_failed`: a step upstream of it has failed.
    `placement`: the worker on which the running attempt is placed. An attempt of an executor without
    one has waited for a worker since `queued_at`, and fails at `queue_ends_at` (seconds since 1970);
    it has waited for `queued_s` before.
    `losses`: how many of its attempts were lost with their workers.
    `batched`: its call that waits in a batch.
    `is_doubtful`: its reply may be no answer, as its warning says.
    """

    index: int
    needs_left: int
    needs_shut: int = 0
    status: StepStatus = "pending"
    attempts: int = 0
    failures: int = 0
    output: Payload | None = None
    failure: Failure | None = None
    tolerated: bool = False
    is_doubtful: bool = False
    skipped: SkipReason | None = None
    retry_at: float | None = None
    delay_s: float | None = None
    deadline_at: float | None = None
    calls_ended: int = 0
    calls_recorded: int = 0
    ticket: int = 0
    fallback: int = 0
    lane: str = ""
    fresh: bool = False
    keeps_items: bool = False
    keeps_values: bool = False
    requested_version: int = 0
    results: dict[str, CommittedResult] = NO_ENTRIES
    replies: list[CommittedReply] = NO_ITEMS
    parent: str | None = None
    number: int = 0
    upstream_failed: bool = False
    waits_for: WaitsFor | None = None
    question: OpenQuestion | None = None
    inside: Inside | None = None
    reserved: Reserved | None = None
    in_flight: Doubt | None = None
    in_doubt: Doubt | None = None
    calls_in_doubt: int = 0
    began_at: float = 0.0
    placement: WorkerPlace | None = None
    queued_at: float | None = None
    queue_ends_at: float | None = None
    queued_s: float = 0.0
    losses: int = 0
    batched: BatchedCall | None = None

    @property
    def is_shut(self) -> bool:
        """Whether its needs have ended, and one of them does not let it start."""
        return self.needs_shut > 0 and self.needs_left == self.needs_shut

    @property
    def is_done(self) -> bool:
        """Whether it ended in a way that a resume never reopens."""
        return self.status == "succeeded" or (self.status == "failed" and self.tolerated)


class JobState(Struct):
    """The state of one job, and indexes for fast queries.

    `only`: the steps that the current owner runs; None means all. `only_left`: how many of them
    have not ended. `retired`: steps that an amendment removed.
    """

    definition: JobDef
    graph: Graph
    steps: dict[str, StepState]
    routes: dict[str, tuple[TargetDef, ...]] = field(default_factory=lambda: {"": ()})
    work_items: list[WorkItem] = field(default_factory=list)
    """An append-only log, which `WorkQueues` reads. A new list begins when the job is reopened
    or ends."""
    circuits: dict[str, Circuit] = field(default_factory=dict)
    adaptive: dict[str, AdaptiveRoom] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    """The names of the targets that have answered since the job was last started or resumed."""
    version: int = 0
    epoch: int = 0
    """The version of the last `job.started` or `job.resumed`. A later owner has a higher one."""
    status: JobStatus = "submitted"
    project: str = ""
    submitted: JobSubmitted | None = None
    timeout_s: float | None = None
    provider_override: str | None = None
    replies: Payload | None = None
    owned: FileOwners = field(default_factory=FileOwners)
    file_names: FileNames = field(default_factory=FileNames)
    running: dict[str, int] = field(default_factory=dict)
    running_total: int = 0
    running_elsewhere: int = 0
    """How many of the running steps are not on this machine: on workers, or waiting in batches."""
    running_slotless: int = 0
    """How many of the running steps take no slot of this machine."""
    batches: dict[int, BatchOfJob] = field(default_factory=dict)
    busy_workspaces: set[str] = field(default_factory=set)
    """The named workspaces in which a step is running."""
    unfinished: int = 0
    failed: dict[str, Failure] = field(default_factory=dict)
    job_failure: Failure | None = None
    owned_s: float = 0.0
    owned_since: str | None = None
    last_at: str = ""
    signal_seen: int = 0
    """The id of the last signal that an event has handled, apart from cancel signals."""
    cancel_seen: int = 0
    """The id of the last cancel signal that an event has handled."""
    stopped_by: str | None = None
    is_queued: bool = False
    """Whether workers run the job."""
    takes: int = 0
    """How many workers in a row have taken the job without progress."""
    is_answered: bool = False
    """Whether a person has answered since the job of the queue began to wait."""
    is_cancelling: bool = False
    cancel_signal: int | None = None
    cancel_reason: str | None = None
    had_ended: bool = False
    """Whether the job had ended before the last resume. Then rejected steps are reopened."""
    questions: set[str] = field(default_factory=set)
    spent: dict[str, Spent] = field(default_factory=dict)
    raised_budgets: dict[str, Limits] = field(default_factory=dict)
    over_budget: dict[str, str] = field(default_factory=dict)
    """Steps that wait for a raised budget, with the account."""
    only: frozenset[str] | None = None
    only_left: int = 0
    retired: dict[str, StepState] = field(default_factory=dict)
    unscored: dict[str, None] = field(default_factory=dict)
    """The steps whose results still have to be scored, in the order in which they ended."""
    hook: HookStarted | None = None
    """The hook that was started and has no recorded end."""
    tags: dict[str, None] = field(default_factory=dict)
    removed: set[Digest] = field(default_factory=set)
    """Blobs that were removed from the ledger. Their bytes may have been added again since."""

    def route_of(self, step_id: str) -> tuple[TargetDef, ...]:
        """The targets that the step may call, in order; empty if it calls no model."""
        return self.routes[self.steps[step_id].lane]

    def target_of(self, step_id: str) -> TargetDef | None:
        """The target that the step calls now; None if it calls no model."""
        route = self.route_of(step_id)
        return route[0] if route else None

    def provider_of(self, step_id: str) -> str:
        """The provider whose limit the step counts against; empty if it calls no model."""
        return self.provider_in(self.steps[step_id].lane)

    def provider_in(self, lane: str) -> str:
        """The provider of the first target of a step with this lane; empty if there is none."""
        route = self.routes[lane]
        return route[0].provider if route else ""

    def wants(self, step_id: str) -> bool:
        """Whether the current owner runs the step, or the container that it belongs to."""
        return self.only is None or any(name in self.only for name in lineage(step_id))

    def keeper_of(self, step_id: str) -> str | None:
        """The outermost step around the step, if this is in an item of it that may keep its result."""
        if self.steps[step_id].parent is None:
            return None
        *inside, root = lineage(step_id)
        if not self.steps[root].keeps_items:
            return None
        return root if any(name.endswith("]") for name in inside) else None

    def files(self) -> Iterator[FileRef]:
        """The current version of each file that steps have written."""
        for owned in self.owned:
            yield owned.file

    def summary(self) -> dict[str, Any]:
        """The fields that determine what happens next, as plain values for comparison."""
        return {
            "status": self.status,
            "only": None if self.only is None else (sorted(self.only), self.only_left),
            "version": self.version,
            "unfinished": self.unfinished,
            "unscored": list(self.unscored),
            "hook": None if self.hook is None else self.hook.occasion,
            "running": {lane: count for lane, count in sorted(self.running.items()) if count},
            "busy_workspaces": sorted(self.busy_workspaces),
            "failed": sorted(self.failed),
            "circuits": {
                name: (circuit.failures, circuit.retry_at, circuit.probe)
                + (() if circuit.waits_since is None else (circuit.waits_since,))
                for name, circuit in sorted(self.circuits.items())
            },
            "adaptive": {
                name: (room.limit, room.halved_at) for name, room in sorted(self.adaptive.items())
            },
            "answered": sorted(self.answered),
            "batches": {
                number: (batch.server_id, batch.ended is not None, list(batch.waiting))
                for number, batch in self.batches.items()
            },
            "spent": {
                account: (spent.calls, spent.tokens, usd_number(spent.nano_usd), spent.held_tokens)
                for account, spent in sorted(self.spent.items())
            },
            "file_owners": dict(sorted((found.file.path, found.step) for found in self.owned)),
            "steps": {
                step_id: (
                    step.status,
                    step.attempts,
                    step.failures,
                    step.needs_left,
                    step.output,
                    step.failure,
                    step.calls_ended,
                    step.calls_recorded,
                    len(step.replies),
                    step.retry_at,
                    step.deadline_at,
                    step.fallback,
                    step.fresh,
                    sorted(step.results),
                    step.waits_for,
                    step.upstream_failed,
                    None if step.inside is None else (step.inside.total, step.inside.open),
                    step.in_doubt,
                    step.calls_in_doubt,
                    None if step.placement is None else step.placement.run,
                    step.queue_ends_at,
                    step.losses,
                )
                for step_id, step in self.steps.items()
            },
        }

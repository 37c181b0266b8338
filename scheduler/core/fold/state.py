"""The state of a job as data: its steps, and the indexes that keep each question cheap.

Only `evolve` (`evolve.py`) changes it, from one event to the next. The scheduler's own
bookkeeping, which no event records, is `WorkQueues` in `queues.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from orc.ledger.definition import BudgetDef, JobDef, TargetDef
from orc.ledger.digest import Digest
from orc.ledger.events import Failure, FileRef, JobSubmitted, Payload, Reserved, SkipReason
from orc.ledger.file_owners import FileOwners
from orc.ledger.kinds import JobStatus as JobStatus
from orc.ledger.kinds import StepStatus as StepStatus
from orc.ledger.kinds import WaitsFor as WaitsFor
from orc.ledger.step_names import lineage
from orc.scheduler.core.file_names import FileNames
from orc.scheduler.core.fold.graph import Graph

Doubt = Literal["call", "tool", "work"]
"""What may have been done: a call to a model, a tool's, or a command or a function."""


@dataclass(frozen=True, slots=True)
class CommittedReply:
    """A reply that the ledger holds, which a later attempt may be answered from."""

    version: int
    call: int
    request_sha256: Digest
    reply: Payload
    finish_reason: str


@dataclass(frozen=True, slots=True)
class CommittedResult:
    """What a tool answered, in the ledger."""

    result: Payload
    is_error: bool


@dataclass(slots=True)
class Circuit:
    """Failures in a row of one target. Open while `retry_at` is set, in seconds since 1970.

    `probe` is the step that was let through after it.
    """

    failures: int = 0
    retry_at: float | None = None
    probe: str | None = None


@dataclass(slots=True)
class AdaptiveRoom:
    """How many steps may ask a provider at once, and the version of the event that halved it."""

    limit: float
    halved_at: int


@dataclass(slots=True)
class Inside:
    """What a step that holds others knows of them.

    `children` are their ids in order, `open` how many have not ended, of `total` in
    all. `held` ones wait until another one has ended; `values` has the values of
    each thousand of items, or the inputs of a group.
    """

    total: int = 0
    open: int = 0
    children: list[str] = field(default_factory=list)
    held: deque[str] = field(default_factory=deque)
    values: list[Payload] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """What a person is asked; at `expires_at` (seconds since 1970) the answer is `on_timeout`."""

    options: tuple[str, ...]
    expires_at: float | None = None
    on_timeout: str | None = None


@dataclass(slots=True)
class Spent:
    """What was spent on an account, and what calls in flight may add to it."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    held_tokens: int = 0
    held_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class WorkItem:
    """What an event makes possible for a step: at once, or `at` a time in seconds since 1970.

    `start`: it may start. `look`: its condition has to be judged, its items expanded or their
    results gathered first. `retry`: it may start again then. `deadline`: its total time is
    over then. `expiry`: the time for an answer is over then. An item to start or retry holds
    as long as the step has its `ticket`.
    """

    kind: Literal["start", "evaluate", "retry", "deadline", "expiry"]
    step: str
    ticket: int = 0
    at: float = 0.0


@dataclass(slots=True)
class StepState:
    """One step, now.

    `needs_left` counts the needs that have not yet ended well enough for it,
    `ticket` is the number of the work item that it may start from, 0 while there is none;
    `calls_recorded` the calls that recorded replies would have answered so far.
    `fallback` is the place of its target in its list; `lane` names the route from
    there on. `fresh` steps ask anew whatever a cache has.
    `parent` is the step that holds it, `number` its place there: an item's from 0, a
    round's from 1; `in_flight`: a call was sent, or a tool called, and has not ended;
    `in_doubt`: an attempt was cut short with that under way, and nobody has said yet that
    it may be done again; `calls_in_doubt` counts the calls that may have been answered,
    and paid for, unheard. `began_at` is when one that holds others began, in seconds since
    1970. `upstream_failed`: a step before it, near or far, has failed.
    """

    index: int
    needs_left: int
    status: StepStatus = "pending"
    attempts: int = 0
    failures: int = 0
    output: Payload | None = None
    failure: Failure | None = None
    tolerated: bool = False
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
    requested_version: int = 0
    results: dict[str, CommittedResult] = field(default_factory=dict)
    replies: list[CommittedReply] = field(default_factory=list)
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

    @property
    def is_done(self) -> bool:
        """Whether it has ended so that a resume leaves it as it is."""
        return self.status == "succeeded" or (self.status == "failed" and self.tolerated)


@dataclass(slots=True)
class JobState:
    """A job, now: what its events say, and the indexes that keep each question cheap.

    `only` are the steps that this owner runs, where not all of them, and `only_left` how
    many of them have not ended; `retired` are steps that an amendment took out.
    """

    definition: JobDef
    graph: Graph
    steps: dict[str, StepState]
    routes: dict[str, tuple[TargetDef, ...]] = field(default_factory=lambda: {"": ()})
    work_items: list[WorkItem] = field(default_factory=list)
    """What the events have made possible, in order: a log that only grows. A new list begins
    where a job is reopened or ends. `WorkQueues` reads it."""
    circuits: dict[str, Circuit] = field(default_factory=dict)
    adaptive: dict[str, AdaptiveRoom] = field(default_factory=dict)
    version: int = 0
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
    unfinished: int = 0
    failed: dict[str, Failure] = field(default_factory=dict)
    job_failure: Failure | None = None
    owned_s: float = 0.0
    owned_since: str | None = None
    last_at: str = ""
    signal_seen: int = 0
    """The last signal that an event answers, those to cancel left out."""
    cancel_seen: int = 0
    """The last signal to cancel that is answered; a later signal of another kind does not count."""
    stopped_by: str | None = None
    is_cancelling: bool = False
    cancel_signal: int | None = None
    cancel_reason: str | None = None
    had_ended: bool = False
    """Whether the last resume was of a job that had ended: then a person's no is asked again."""
    questions: set[str] = field(default_factory=set)
    spent: dict[str, Spent] = field(default_factory=dict)
    raised_budgets: dict[str, BudgetDef] = field(default_factory=dict)
    over_budget: dict[str, str] = field(default_factory=dict)
    """Steps that wait for a budget, with the account whose limit holds them."""
    only: frozenset[str] | None = None
    only_left: int = 0
    retired: dict[str, StepState] = field(default_factory=dict)
    removed: set[Digest] = field(default_factory=set)
    """Blobs that were removed from the ledger, unless their bytes have come again."""

    def route_of(self, step_id: str) -> tuple[TargetDef, ...]:
        """The targets that the step may ask, in order; empty where it asks no model."""
        return self.routes[self.steps[step_id].lane]

    def target_of(self, step_id: str) -> TargetDef | None:
        """The target that the step asks now; None where it asks no model."""
        route = self.route_of(step_id)
        return route[0] if route else None

    def provider_of(self, step_id: str) -> str:
        """The provider that the step counts against besides the total; empty for none."""
        target = self.target_of(step_id)
        return "" if target is None else target.provider

    def wants(self, step_id: str) -> bool:
        """Whether this owner runs the step: it, or what it is an item, a round or a part of."""
        return self.only is None or any(name in self.only for name in lineage(step_id))

    def files(self) -> Iterator[FileRef]:
        """Every file that steps have written, as it is now."""
        for owned in self.owned:
            yield owned.file

    def summary(self) -> dict[str, Any]:
        """All that decides what happens next, as plain values: equal states have equal summaries."""
        return {
            "status": self.status,
            "only": None if self.only is None else (sorted(self.only), self.only_left),
            "version": self.version,
            "unfinished": self.unfinished,
            "running": {lane: count for lane, count in sorted(self.running.items()) if count},
            "failed": sorted(self.failed),
            "circuits": {
                name: (circuit.failures, circuit.retry_at, circuit.probe)
                for name, circuit in sorted(self.circuits.items())
            },
            "adaptive": {
                name: (room.limit, room.halved_at) for name, room in sorted(self.adaptive.items())
            },
            "spent": {
                account: (spent.calls, spent.tokens, round(spent.usd, 9), spent.held_tokens)
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
                )
                for step_id, step in self.steps.items()
            },
        }

"""What a job must do, said a second time: an oracle that shares no code with the scheduler.

Written from the design page alone, and slow on purpose: every question is
answered by looking at all steps. `foresee` says how a job with room for
everything goes, to the instant; what watches a run step by step is the referee
(`tests/scheduler/referee.py`). Times are seconds from the beginning of the run.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

TRANSIENT = ("rate_limit", "timeout", "connection", "server_error", "protocol")
CONTENT = "schema"
SWITCHED_ON = (*TRANSIENT, "auth", "bad_request", "refused", "context_length", CONTENT)
NEVER = float("inf")


class Try(Struct, frozen=True):
    """What one attempt meets: it takes this long, and fails with this kind, if any."""

    duration_s: float = 1.0
    kind: str | None = None
    retry_after_s: float = 0.0


class Choice(Struct, frozen=True):
    """Whom a task may ask; the last of `tries` is what every later attempt there meets too.

    `lane` is the provider, whose limit the task counts against while it asks there.
    """

    lane: str
    model: str = "m"
    tries: tuple[Try, ...] = (Try(),)

    @property
    def target(self) -> str:
        """The name that events have for it."""
        return f"{self.lane}/{self.model}"

    def attempt(self, number: int) -> Try:
        """What the attempt with this number (from 1) meets."""
        return self.tries[min(number, len(self.tries)) - 1]


class Task(Struct, frozen=True):
    """A step: what it asks first, and the `fallback` that it may turn to.

    `lane` is empty for a step that asks no model.
    """

    id: str
    needs: tuple[str, ...] = ()
    lane: str = "alpha"
    tries: tuple[Try, ...] = (Try(),)
    model: str = "m"
    fallback: tuple[Choice, ...] = ()
    attempts_max: int = 1
    retry_on: tuple[str, ...] = TRANSIENT
    tolerated: bool = False
    backoff: str = "exponential"
    initial_s: float = 1.0
    longest_s: float = 60.0
    timeout_s: float = NEVER
    total_timeout_s: float = NEVER

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Whom it may ask, in order."""
        return (Choice(self.lane, self.model, self.tries), *self.fallback)

    def wait_s(self, failures: int, retry_after_s: float, kind: str | None = None) -> float:
        """How long to wait after so many failures; a server's `retry_after` is the minimum.

        At a rate limit, it is the wait.
        """
        if kind == "rate_limit" and retry_after_s:
            return retry_after_s
        growth = {"fixed": 1.0, "linear": failures, "exponential": 2.0 ** (failures - 1)}
        grown = min(self.initial_s * growth[self.backoff], self.longest_s)
        return max(grown, retry_after_s)


class Plan(Struct, frozen=True):
    """A job, in an order in which every task comes after what it needs.

    A circuit opens after `threshold` failures in a row, for `cooldown_s`; 0 is never. `rates` and
    `token_rates` are the most calls and tokens a minute, by lane.
    """

    tasks: tuple[Task, ...]
    total: int = 1000
    limits: Mapping[str, int] = field(default_factory=dict)
    timeout_s: float = NEVER
    threshold: int = 0
    cooldown_s: float = 60.0
    rates: Mapping[str, int] = field(default_factory=dict)
    token_rates: Mapping[str, int] = field(default_factory=dict)

    def task(self, task_id: str) -> Task:
        """The task with that id."""
        return next(task for task in self.tasks if task.id == task_id)

    def ancestors(self, task_id: str) -> set[str]:
        """Every task that this one waits for, directly or not."""
        found: set[str] = set()
        for name in self.task(task_id).needs:
            found |= {name} | self.ancestors(name)
        return found


class Fate(Struct):
    """What becomes of one task: its status, and when each attempt began and ended."""

    status: str = "pending"
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    kind: str | None = None

    @property
    def attempts(self) -> int:
        """How often it was begun."""
        return len(self.starts)


class Foreseen(Struct, frozen=True):
    """How a job goes: its status, when it ends, and the fate of each task."""

    status: str
    ended_at: float
    fates: Mapping[str, Fate]


def foresee(plan: Plan) -> Foreseen:
    """How the job goes where no limit ever binds; without limits, exactly so.

    Statuses and numbers of attempts hold under limits as well, unless the job
    or a task has a `timeout`, which is a matter of when, or a circuit moves a
    task to its fallback.
    """
    fates: dict[str, Fate] = {}
    opened_at: dict[str, float] = {}
    for task in plan.tasks:
        if not all(_lets_start(plan.task(name), fates[name]) for name in task.needs):
            fates[task.id] = Fate("skipped")
            opened_at[task.id] = max(opened_at[name] for name in task.needs)
            continue
        begin_at = max((opened_at[name] for name in task.needs), default=0.0)
        fates[task.id] = _foresee_task(task, begin_at)
        opened_at[task.id] = fates[task.id].ends[-1]
    ended_at = max(opened_at.values(), default=0.0)
    if ended_at > plan.timeout_s:
        return _cut(fates, plan.timeout_s)
    lost = any(fate.status == "failed" and not plan.task(i).tolerated for i, fate in fates.items())
    return Foreseen("failed" if lost else "succeeded", ended_at, fates)


def steadfast(plan: Plan) -> Plan:
    """The plan with failures that stay: a task that fails, fails however often it is tried again.

    A crash may give a task more attempts than it would have had; so the end of
    such a plan is one that crashes must not change.
    """
    found = []
    for task in plan.tasks:
        first, *fallback = (_steadfast(task, choice) for choice in task.choices)
        found.append(replace(task, tries=first.tries, fallback=tuple(fallback)))
    return replace(plan, tasks=tuple(found))


def _steadfast(task: Task, choice: Choice) -> Choice:
    fate = _foresee_task(replace(task, tries=choice.tries, fallback=()), 0.0)
    last = fate.attempts if fate.status == "failed" else len(choice.tries)
    return replace(choice, tries=choice.tries[:last])


def _lets_start(task: Task, fate: Fate) -> bool:
    return fate.status == "succeeded" or (fate.status == "failed" and task.tolerated)


def _foresee_task(task: Task, begin_at: float) -> Fate:
    fate = Fate()
    deadline = begin_at + task.total_timeout_s
    now = begin_at
    place = tried = failures = 0
    while True:
        tried += 1
        met = task.choices[place].attempt(tried)
        took_s, kind = met.duration_s, met.kind
        if took_s > task.timeout_s:
            took_s, kind = task.timeout_s, "timeout"
        fate.starts.append(now)
        if now + took_s > deadline:
            fate.ends.append(deadline)
            fate.status, fate.kind = "failed", "timeout"
            return fate
        now += took_s
        fate.ends.append(now)
        if kind is None:
            fate.status = "succeeded"
            return fate
        failures += 1
        next_at = NEVER
        if failures < task.attempts_max and kind in task.retry_on:
            next_at = now + task.wait_s(failures, met.retry_after_s, kind)
        elif place + 1 < len(task.choices) and kind in SWITCHED_ON:
            next_at = now
            place += 1
            tried = failures = 0
        if next_at >= deadline:
            fate.status, fate.kind = "failed", kind
            return fate
        now = next_at


def _cut(fates: dict[str, Fate], at: float) -> Foreseen:
    """The job's time is over: what runs fails, what has not ended is skipped."""
    for fate in fates.values():
        if fate.status == "skipped" or (fate.ends and fate.ends[-1] <= at):
            continue
        fate.starts = [start for start in fate.starts if start <= at]
        fate.ends = [end for end in fate.ends if end <= at]
        if len(fate.starts) > len(fate.ends):
            fate.ends.append(at)
            fate.status, fate.kind = "failed", "timeout"
        else:
            fate.status, fate.kind = "skipped", None
    return Foreseen("failed", at, fates)

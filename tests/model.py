"""What a job must do, said a second time: an oracle that shares no code with the scheduler.

Written from the design page alone, and slow on purpose: every question is
answered by looking at all steps. `foresee` says how a job with room for
everything goes, to the instant; `Referee` watches any run and objects to what
the rules forbid. Times are seconds from the beginning of the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

TRANSIENT = ("rate_limit", "timeout", "connection", "server_error", "protocol")
CONTENT = "schema"
NEVER = float("inf")


@dataclass(frozen=True)
class Try:
    """What one attempt meets: it takes this long, and fails with this kind, if any."""

    duration_s: float = 1.0
    kind: str | None = None
    retry_after_s: float = 0.0


@dataclass(frozen=True)
class Task:
    """A step; the last of `tries` is what every later attempt meets too.

    `lane` is the provider whose limit the step counts against, "" for none.
    """

    id: str
    needs: tuple[str, ...] = ()
    lane: str = "alpha"
    tries: tuple[Try, ...] = (Try(),)
    attempts_max: int = 1
    retry_on: tuple[str, ...] = TRANSIENT
    tolerated: bool = False
    backoff: str = "exponential"
    initial_s: float = 1.0
    longest_s: float = 60.0
    timeout_s: float = NEVER
    total_timeout_s: float = NEVER

    def attempt(self, number: int) -> Try:
        """What the attempt with this number (from 1) meets."""
        return self.tries[min(number, len(self.tries)) - 1]

    def wait_s(self, failures: int, retry_after_s: float) -> float:
        """How long to wait after so many failures; a server's wish is the least."""
        growth = {"fixed": 1.0, "linear": failures, "exponential": 2.0 ** (failures - 1)}
        grown = min(self.initial_s * growth[self.backoff], self.longest_s)
        return max(grown, retry_after_s)


@dataclass(frozen=True)
class Plan:
    """A job, in an order in which every task comes after what it needs."""

    tasks: tuple[Task, ...]
    total: int = 1000
    limits: Mapping[str, int] = field(default_factory=dict)
    timeout_s: float = NEVER

    def task(self, task_id: str) -> Task:
        """The task with that id."""
        return next(task for task in self.tasks if task.id == task_id)

    def ancestors(self, task_id: str) -> set[str]:
        """Every task that this one waits for, directly or not."""
        found: set[str] = set()
        for name in self.task(task_id).needs:
            found |= {name} | self.ancestors(name)
        return found


@dataclass
class Fate:
    """What becomes of one task: its status, and when each attempt began and ended."""

    status: str = "pending"
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    kind: str | None = None

    @property
    def attempts(self) -> int:
        """How often it was begun."""
        return len(self.starts)


@dataclass(frozen=True)
class Foreseen:
    """How a job goes: its status, when it ends, and the fate of each task."""

    status: str
    ended_at: float
    fates: Mapping[str, Fate]


def foresee(plan: Plan) -> Foreseen:
    """How the job goes where no limit ever binds; without limits, exactly so.

    Statuses and numbers of attempts hold under limits as well, unless the job
    or a task has a `timeout`, which is a matter of when.
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
        fate = _foresee_task(task, 0.0)
        last = fate.attempts if fate.status == "failed" else len(task.tries)
        found.append(replace(task, tries=task.tries[:last]))
    return replace(plan, tasks=tuple(found))


def may_run_together(plan: Plan, running: Iterable[str]) -> bool:
    """Whether these tasks may run at one moment: none waits for another, and the limits allow it."""
    found = list(running)
    if len(found) > plan.total or len(set(found)) != len(found):
        return False
    if any(plan.ancestors(name) & set(found) for name in found):
        return False
    lanes = [plan.task(name).lane for name in found]
    return all(lanes.count(lane) <= plan.limits.get(lane, len(found)) for lane in lanes)


def _lets_start(task: Task, fate: Fate) -> bool:
    return fate.status == "succeeded" or (fate.status == "failed" and task.tolerated)


def _foresee_task(task: Task, begin_at: float) -> Fate:
    fate = Fate()
    deadline = begin_at + task.total_timeout_s
    now = begin_at
    failures = 0
    while True:
        met = task.attempt(fate.attempts + 1)
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
        retry_at = now + task.wait_s(failures, met.retry_after_s)
        if failures >= task.attempts_max or kind not in task.retry_on or retry_at >= deadline:
            fate.status, fate.kind = "failed", kind
            return fate
        now = retry_at


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


class Happened(Protocol):
    """An event, as far as the referee looks at it."""

    type: str


class Objection(AssertionError):
    """A run did what the rules forbid."""


_OPEN = ("pending", "running", "waiting")
_JOB_ENDS = ("job.succeeded", "job.failed", "job.cancelled", "job.interrupted")


class Referee:
    """Watches the committed events of one job, crashes and resumptions included.

    `epoch_s` is what recorded retry times count from. Call `observe` with each
    batch, `crash` when the owner dies.
    """

    def __init__(self, plan: Plan, *, epoch_s: float) -> None:
        self.plan = plan
        self.job = "submitted"
        self.status = {task.id: "pending" for task in plan.tasks}
        self.attempts = {task.id: 0 for task in plan.tasks}
        self.starts: dict[str, list[float]] = {task.id: [] for task in plan.tasks}
        self.running: set[str] = set()
        self.due: dict[str, float] = {}
        self.replies = {task.id: 0 for task in plan.tasks}
        self.versions = 0
        self._ran: set[str] = set()
        self._cut_by_job: set[str] = set()
        self._epoch_s = epoch_s
        self._alive = False
        self._stopping = False

    def observe(self, now: float, events: Sequence[Any]) -> None:
        """One commit at that time. Raises Objection."""
        if self._alive and not self._stopping:
            self._object_to_waiting(now, strictly_before=True)
        for event in events:
            self._observe_one(now, event)
        if self._alive and not self._stopping:
            self._object_to_waiting(now, strictly_before=False)

    def recall(self, events: Sequence[Any]) -> None:
        """Events of a run that nobody watched, cut short anywhere."""
        for event in events:
            self._observe_one(NEVER, event)
        self.crash()

    def crash(self) -> None:
        """The owner is gone without a word."""
        self._alive = False

    def stopping(self) -> None:
        """Someone has asked the job to stop: nothing need start any more."""
        self._stopping = True

    def finished(self, *, timed_out: bool = False) -> None:
        """The run is over. Raises Objection when something was left."""
        left = [name for name, status in self.status.items() if status in _OPEN]
        _demand(self.job in ("succeeded", "failed"), f"the job is {self.job}")
        _demand(not left, f"{left} never ended")
        lost = timed_out or any(
            status == "failed" and not self._is_tolerated(name)
            for name, status in self.status.items()
        )
        _demand(self.job == ("failed" if lost else "succeeded"), f"{self.job} with {self.status}")

    def _observe_one(self, now: float, event: Any) -> None:
        self.versions += 1
        if event.type == "job.submitted":
            _demand(self.versions == 1, "submitted twice")
        elif event.type in ("job.started", "job.resumed"):
            self._opened(event.type)
        elif event.type in _JOB_ENDS:
            _demand(self._alive, f"{event.type} of a job that nobody runs")
            _demand(not self.running, f"{event.type} while {self.running} ran")
            self.job = event.type.removeprefix("job.")
            self._alive = False
        else:
            _demand(self._alive, f"{event.type} of a job that nobody runs")
            self._observe_step(now, event)

    def _opened(self, event_type: str) -> None:
        _demand(not self._alive, f"{event_type} of a job that runs")
        _demand((event_type == "job.started") == (self.job == "submitted"), event_type)
        self.job, self._alive, self._stopping = "running", True, False
        for name, status in self.status.items():
            tolerated = self._is_tolerated(name)
            if status in ("skipped", "cancelled") or (status == "failed" and not tolerated):
                self.status[name] = "pending"
        self._cut_by_job.clear()

    def _observe_step(self, now: float, event: Any) -> None:
        name = event.step
        match event.type:
            case "step.started":
                self._started(now, name, event.attempt)
            case "step.succeeded" | "step.failed" | "step.interrupted":
                self._ended(name, event)
            case "step.skipped":
                self._skipped(name, event.reason)
            case "llm.responded":
                _demand(name in self.running, f"{name} got a reply while it did not run")
                self.replies[name] += 1
            case _:
                _demand(name in self.running, f"{event.type} of {name}, which does not run")

    def _started(self, now: float, name: str, attempt: int) -> None:
        task = self.plan.task(name)
        _demand(self.status[name] in ("pending", "waiting"), f"{name} began as {self.status[name]}")
        for need in task.needs:
            _demand(self._is_good(need), f"{name} began before {need} had ended well")
        _demand(self.due.pop(name, now) <= now, f"{name} was tried again too early")
        _demand(attempt == self.attempts[name] + 1, f"{name}: {attempt} after {self.attempts}")
        self.attempts[name] = attempt
        self.starts[name].append(now)
        self.status[name] = "running"
        self.running.add(name)
        _demand(may_run_together(self.plan, self.running), f"{sorted(self.running)} ran together")

    def _ended(self, name: str, event: Any) -> None:
        expired = event.type == "step.failed" and self.status[name] in ("waiting", "pending")
        _demand(name in self.running or expired, f"{event.type} of {name}, which does not run")
        _demand(event.attempt == self.attempts[name], f"{event.type} of {name}: {event.attempt}")
        self.running.discard(name)
        self.due.pop(name, None)
        if event.type == "step.interrupted":
            self.status[name] = "pending"
        elif event.type == "step.succeeded":
            _demand(name not in self._ran, f"{name} succeeded twice")
            self._ran.add(name)
            self.status[name] = "succeeded"
        elif event.retry_at is not None:
            self.status[name] = "waiting"
            self.due[name] = event.retry_at - self._epoch_s
        else:
            self.status[name] = "failed"
            # What the job's own end cut off is not gone on from: a resume opens it again.
            if event.message.startswith("the job's timeout"):
                self._cut_by_job.add(name)
            _demand(bool(event.tolerated) == self._is_tolerated(name), f"{name} tolerated?")

    def _skipped(self, name: str, reason: str) -> None:
        if reason == "job_timeout":
            _demand(self.status[name] in ("pending", "waiting"), f"{name} skipped while it ran")
        else:
            _demand(self.status[name] == "pending", f"{name} skipped as {self.status[name]}")
            bad = [need for need in self.plan.task(name).needs if self._is_bad(need)]
            _demand(bool(bad), f"{name} skipped, and nothing that it needs had failed")
        self.due.pop(name, None)
        self.status[name] = "skipped"

    def _object_to_waiting(self, now: float, *, strictly_before: bool) -> None:
        """Nothing that may run waits while there is room for it."""
        for task in self.plan.tasks:
            if self.status[task.id] == "waiting":
                due = self.due[task.id]
                is_ready = due < now if strictly_before else due <= now
            else:
                is_ready = self.status[task.id] == "pending" and all(map(self._is_good, task.needs))
            if is_ready and may_run_together(self.plan, {*self.running, task.id}):
                raise Objection(f"{task.id} could run at {now} beside {sorted(self.running)}")
            if self.status[task.id] == "pending" and any(map(self._is_bad, task.needs)):
                raise Objection(f"{task.id} was not skipped at {now}")

    def _is_good(self, name: str) -> bool:
        status = self.status[name]
        return status == "succeeded" or (status == "failed" and self._is_tolerated(name))

    def _is_tolerated(self, name: str) -> bool:
        return self.plan.task(name).tolerated and name not in self._cut_by_job

    def _is_bad(self, name: str) -> bool:
        return self.status[name] in ("failed", "skipped") and not self._is_good(name)


def _demand(holds: bool, objection: str) -> None:
    if not holds:
        raise Objection(objection)

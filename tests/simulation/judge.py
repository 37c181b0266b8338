"""The judge: one rule for each type of event, for what the event says of the events before it.

The referees check what may happen when. The judge checks whether an event is true: its numbers,
its times, what it names. It shares no code with the scheduler. `RULES` has each type of event that
a simulated job can have, `IMPOSSIBLE` the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orc.ledger import Recorded
from orc.ledger.definition import JobDef, StepDef, load_job
from tests.model import TRANSIENT
from tests.scheduler.flow_stand import own_name
from tests.scheduler.watches import demand

IMPOSSIBLE = {
    "batch.submitted": "the simulated providers take no batches; tests/batches have a server that does",
    "batch.accepted": "there are no batches",
    "batch.progressed": "there are no batches",
    "batch.ended": "there are no batches",
    "blob.removed": "a simulated ledger is neither pruned nor redacted",
    "step.configured": "the settings of a simulated step have no templates",
    "step.reused": "results are reused by forks and by commands, and no process is simulated",
    "tool.called": "tools are commands, and no process is simulated",
    "tool.returned": "tools are commands, and no process is simulated",
}
"""The types of events that a simulated job cannot have, with the reason."""

_JOB_ENDS = ("succeeded", "failed", "cancelled")
_CONTAINERS = ("for_each", "loop", "group")
_IN_DOUBT = ("timeout", "connection", "protocol")


@dataclass
class _Step:
    """What the events have said of a step."""

    definition: StepDef
    parent: str | None = None
    status: str = "pending"
    attempts: int = 0
    calls_ended: int = 0
    call: Any = None
    in_doubt: bool = False
    options: tuple[str, ...] = ()
    asked_of: str = ""
    expires_at: float | None = None
    replies: dict[int, tuple[str, int]] = field(default_factory=dict)
    """By version: the digest of the request, and the number of the call."""
    files: set[str] = field(default_factory=set)
    failure: Any = None
    is_tolerated: bool = False
    is_container: bool = False
    is_expanded: bool = False
    total: int = 0
    children: int = 0
    over: str | None = None
    run: str | None = None
    """The run with which its attempt is placed on a worker."""

    @property
    def is_elsewhere(self) -> bool:
        """Whether its attempt runs on a worker, or waits for one."""
        is_running = self.status == "running" and not self.is_container
        return is_running and self.definition.executor != "local"


class Judge:
    """Judges each event of one job by its rule, in the order of the stream."""

    def __init__(self, definition: JobDef) -> None:
        self.seen: Counter[str] = Counter()
        self.calls_in_doubt = 0
        self._definition = definition
        self._definitions = {step.id: step for step in _all_steps(definition.steps)}
        self._steps = {step.id: _Step(step) for step in definition.steps}
        self._job = ""
        self._is_owned = False
        self._version = 0
        self._failures: Counter[str] = Counter()
        self._limits: set[str] = set()
        self._open_circuits: set[str] = set()
        self._last: Any = None
        self._tags: set[str] = set()
        self._noted_for: set[int | None] = set()
        self._hook: tuple[str, int] | None = None
        self._asked = ""
        """The target of the last call that ended."""

    def observe(self, batch: Sequence[Recorded]) -> None:
        """Judge committed events. Raises Objection."""
        for recorded in batch:
            event: Any = recorded.event
            rules = {**RULES, **WORKER_RULES}
            demand(event.type in rules, f"{event.type}: {IMPOSSIBLE.get(event.type, 'no rule')}")
            self._version = recorded.version
            self._demand_hook(event)
            self.seen[event.type] += 1
            rules[event.type](self, event)
            self._last = event

    def check_doubts(self, calls: int) -> None:
        """Check the number of calls in doubt that people are told."""
        told = f"{calls} calls in doubt are told of, and there are {self.calls_in_doubt}"
        demand(calls == self.calls_in_doubt, told)

    # The job.

    def _submitted(self, event: Any) -> None:
        demand(self._version == 1, "submitted twice")
        self._job = "submitted"

    def _started(self, event: Any) -> None:
        demand(self._job == "submitted", f"started when {self._job}")
        demand(event.only is None, "only some steps are to run")
        self._own()

    def _resumed(self, event: Any) -> None:
        demand(self._job not in ("", "submitted"), f"resumed when {self._job}")
        for name in event.kept or ():
            status = self._steps[name].status
            demand(status in ("skipped", "failed"), f"{name} is kept as {status}")
        for name, step in self._steps.items():
            is_good = step.status == "failed" and step.is_tolerated
            if name in (event.kept or ()) or is_good:
                continue
            if step.status in ("failed", "skipped", "cancelled"):
                step.status = "running" if step.is_expanded else "pending"
        self._failures.clear()
        self._open_circuits.clear()
        self._own()

    def _own(self) -> None:
        self._job = "running"
        self._is_owned = True

    def _stopped(self, event: Any) -> None:
        self._demand_stillness(event)
        demand(self._is_owned, f"{event.type} of a job without an owner")
        if event.type == "job.interrupted":
            demand(event.signal == "SIGTERM", f"stopped by {event.signal}")
        self._job = event.type.removeprefix("job.")
        self._is_owned = False

    def _waiting(self, event: Any) -> None:
        self._demand_stillness(event)
        demand(self._is_owned, f"{event.type} of a job without an owner")
        asked = {name: step.asked_of for name, step in self._steps.items() if step.options}
        over = {name: "budget" for name, step in self._steps.items() if step.over is not None}
        waiting = {**asked, **over}
        demand(bool(event.steps), "waits for nothing")
        demand(set(event.steps) <= set(waiting), f"waits for {event.steps}, not for {waiting}")
        reasons = {waiting[name] for name in event.steps}
        demand(event.reason in reasons, f"waits for {event.reason}, not for {reasons}")
        self._job = "waiting"
        self._is_owned = False

    def _ended(self, event: Any) -> None:
        self._demand_stillness(event)
        demand(self._is_owned, f"{event.type} of a job without an owner")
        top = {name: step for name, step in self._steps.items() if step.parent is None}
        failed = {
            name for name, step in top.items() if step.status == "failed" and not step.is_tolerated
        }
        if event.type == "job.succeeded":
            open_steps = [
                name
                for name, step in top.items()
                if step.status not in ("succeeded", "failed", "skipped")
            ]
            demand(not failed and not open_steps, f"succeeded with {failed}, {open_steps}")
        else:
            named = [failure for failure in event.failures if failure.step is not None]
            whole = len(event.failures) - len(named)
            demand(event.failures_total == len(event.failures), f"{event.failures_total} failures")
            if not whole:
                told = {failure.step for failure in named}
                demand(told == failed, f"failed by {told}, not by {failed}")
            for failure in named:
                kept = self._steps[failure.step].failure
                demand((failure.kind, failure.message) == (kept.kind, kept.message), failure.step)
        self._job = event.type.removeprefix("job.")
        self._is_owned = False

    def _cancelled(self, event: Any) -> None:
        demand(self._job not in _JOB_ENDS, f"{event.type} when {self._job}")
        kept: Iterable[str] = ()
        if event.type == "job.cancelling":
            kept = event.steps
            meant = {name for name in kept if self._is_meant_for_a_cancel(name)}
            around = {above for name in meant for above in self._lineage(name)}
            for name in kept:
                is_right = name in around or not meant.isdisjoint(self._lineage(name))
                demand(is_right, f"{name} is not meant for a cancel")
        else:
            self._demand_stillness(event)
            self._job, self._is_owned = "cancelled", False
        for name, step in self._steps.items():
            if step.status not in ("succeeded", "failed", "skipped") and name not in kept:
                step.status, step.options, step.over = "cancelled", (), None

    def _is_meant_for_a_cancel(self, name: str) -> bool:
        condition = self._steps[name].definition.condition or ""
        return "always()" in condition or "cancelled()" in condition

    def _lineage(self, name: str) -> Iterable[str]:
        """The step and the steps that contain it."""
        place: str | None = name
        while place is not None:
            yield place
            place = self._steps[place].parent

    def _demand_stillness(self, event: Any) -> None:
        running = [
            name
            for name, step in self._steps.items()
            if step.status == "running" and not step.is_container
        ]
        if event.type == "job.interrupted":
            # What runs elsewhere goes on without an owner.
            running = [name for name in running if not self._steps[name].is_elsewhere]
        demand(not running, f"{event.type} while {running} run")

    # What is said of the job; `ScoreModel` (assessments.py) has the rest.

    def _amended(self, event: Any) -> None:
        changed = (*event.reset, *event.removed)
        demand(not changed, f"{changed} change with the expressions of scores")
        definition = load_job(event.spec.value)
        self._definition = definition
        self._definitions = {step.id: step for step in _all_steps(definition.steps)}
        for name, step in self._steps.items():
            step.definition = self._definitions[own_name(name)]

    def _scored(self, event: Any) -> None:
        demand(event.step in self._steps, f"a score of {event.step}, which is not there")
        demand((event.value is None) == (event.error is not None), f"{event.step}: {event}")
        is_of_person = event.who == "human"
        demand(is_of_person == (event.by_step is None), f"{event.step}: {event.by_step}")
        demand(is_of_person or self._is_owned, f"{event.step} is scored without an owner")
        attempts = self._steps[event.step].attempts
        demand(event.attempt == attempts, f"{event.step}: a score of {event.attempt}")

    def _tagged(self, event: Any) -> None:
        demand(bool(event.added or event.removed), "no tag is changed")
        demand(not set(event.added) & self._tags, f"{event.added} are tags already")
        demand(set(event.removed) <= self._tags, f"{event.removed} are no tags")
        self._tags = self._tags - set(event.removed) | set(event.added)

    def _noted(self, event: Any) -> None:
        demand(event.text.value not in (None, ""), "an empty note")
        demand(event.signal_id not in self._noted_for, "a note twice")
        self._noted_for.add(event.signal_id)

    # Hooks.

    def _demand_hook(self, event: Any) -> None:
        """The runner starts a hook in one transaction with its occasion."""
        ended = getattr(self._last, "type", "")
        is_due = ended in ("job.succeeded", "job.failed", "job.waiting")
        if is_due and ended.removeprefix("job.") in self._definition.hooks:
            demand(event.type == "hook.started", f"no hook after {ended}, but {event.type}")

    def _hook_started(self, event: Any) -> None:
        demand(event.hook in self._definition.hooks, f"there is no hook {event.hook}")
        demand(self._job == event.hook, f"the hook {event.hook} of a job that is {self._job}")
        demand(self._last.type == f"job.{event.hook}", f"{event.hook} after {self._last.type}")
        demand(event.occasion == self._version - 1, f"the occasion {event.occasion} was before")
        demand(self._hook is None, f"{self._hook} has no end")
        self._hook = event.hook, event.occasion

    def _hook_ended(self, event: Any) -> None:
        demand(self._hook == (event.hook, event.occasion), f"{event} ends {self._hook}")
        is_lost = event.outcome == "unknown"
        demand(is_lost or self._job == event.hook, f"{event.hook} ended when {self._job}")
        demand(not is_lost or event.exit_code is None, "who saw how it ended?")
        self._hook = None

    # Circuits and budgets.

    def _circuit_opened(self, event: Any) -> None:
        last = self._last
        demand(
            getattr(last, "type", "") == "llm.failed", f"{event.target} opened without a failure"
        )
        demand(event.target == self._asked, f"{event.target}, and {self._asked} was asked")
        demand(last.kind in TRANSIENT, f"{event.target} opened for {last.kind}")
        told = (event.kind, event.message)
        demand(told == (last.kind, last.message), f"{told}, not {last.kind}: {last.message}")
        is_told = last.kind == "rate_limit" and bool(last.retry_after_s)
        failures = self._failures[event.target] + is_told
        demand(event.failures == failures, f"{event.failures} failures, not {failures}")
        circuit = self._definition.circuit
        is_again = event.target in self._open_circuits
        demand(circuit.threshold > 0, "this job has no circuits")
        asked_s = last.retry_after_s or 0.0
        is_limit = last.kind == "rate_limit"
        is_early = is_again or (is_limit and asked_s > 0)
        demand(is_early or failures >= circuit.threshold, f"opened after {failures} failures")
        cooldown_s = max(circuit.cooldown_s, asked_s)
        if is_limit:
            doubled = 2.0 ** max(0, failures - circuit.threshold)
            cooldown_s = asked_s or min(circuit.cooldown_s, doubled)
        demand(event.cooldown_s == cooldown_s, f"{event.cooldown_s} s, not {cooldown_s} s")
        self._open_circuits.add(event.target)
        (self._limits.add if is_limit else self._limits.discard)(event.target)

    def _circuit_closed(self, event: Any) -> None:
        last = self._last
        demand(event.target in self._open_circuits, f"{event.target} was not open")
        demand(event.target == self._asked, f"{event.target}, and {self._asked} was asked")
        is_good = last.type == "llm.responded" or last.kind not in TRANSIENT
        is_good = is_good or (event.target in self._limits and last.kind != "rate_limit")
        demand(last.type in ("llm.responded", "llm.failed") and is_good, f"closed by {last.type}")
        self._open_circuits.discard(event.target)

    def _budget_exceeded(self, event: Any) -> None:
        step = self._running(event)
        demand(event.spent + event.needed > event.maximum, f"{event} fits its budget")
        demand(event.account is None or event.account in self._steps, f"no {event.account}")
        budget = self._budget(event.account)
        demand(getattr(budget, event.limit) is not None, f"{event.account}: no {event.limit}")
        demand(budget.on_exceeded == "pause", f"{event.step} waits, and was to fail")
        step.status, step.over = "waiting", event.account or ""

    def _budget_raised(self, event: Any) -> None:
        names = ("max_cost_nano_usd", "max_tokens", "max_calls")
        demand(self._budget(event.account) is not None, f"no budget of {event.account}")
        demand(any(getattr(event, name) is not None for name in names), "nothing is raised")
        for step in self._steps.values():
            if step.over == (event.account or ""):
                step.over = None

    def _budget(self, account: str | None) -> Any:
        return (
            self._definition.budget if account is None else self._steps[account].definition.budget
        )

    # Steps.

    def _step_started(self, event: Any) -> None:
        step = self._steps[event.step]
        demand(self._is_owned, f"{event.step} began in a job without an owner")
        demand(event.attempt == step.attempts + 1, f"{event.step}: attempt {event.attempt}")
        kinds = (step.definition.kind, *_CONTAINERS)
        demand(event.kind in kinds, f"{event.step} is {event.kind}")
        demand(event.cache_key is None, f"{event.step} has a cache key")
        demand(step.status in ("pending", "waiting"), f"{event.step} began as {step.status}")
        is_held = step.in_doubt and step.definition.on_unknown != "retry"
        demand(not is_held, f"{event.step} is in doubt, and began")
        demand(not step.options, f"{event.step} began without an answer")
        if step.definition.total_timeout_s is None:
            demand(event.deadline_at is None, f"{event.step} has a deadline")
        step.attempts, step.status = event.attempt, "running"
        step.is_container = event.kind in _CONTAINERS
        step.in_doubt, step.over = False, None
        step.files.clear()
        step.options = ()
        step.run = None
        told = step.definition.executor if step.is_elsewhere else None
        demand(event.executor == told, f"{event.step} began on {event.executor}, not {told}")

    def _step_placed(self, event: Any) -> None:
        step = self._running(event)
        demand(self._is_owned, f"{event.step} is placed in a job without an owner")
        demand(step.is_elsewhere, f"{event.step} is placed, and runs here")
        demand(event.executor == step.definition.executor, f"{event.step}: {event.executor}")
        demand(step.run is None, f"{event.step} is placed twice: {step.run}, {event.run}")
        step.run = event.run

    def _step_unplaced(self, event: Any) -> None:
        self._demand_run(event)
        self._steps[event.step].run = None

    def _step_reattached(self, event: Any) -> None:
        demand(self._is_owned, f"{event.step} is found in a job without an owner")
        self._demand_run(event)

    def _demand_run(self, event: Any) -> None:
        run = self._running(event).run
        demand(run is not None and run == event.run, f"{event.type} of {event.run}, not {run}")

    def _demand_place(self, event: Any) -> None:
        """The end of an attempt says where it ran."""
        step = self._steps[event.step]
        told = step.definition.executor if step.is_elsewhere else None
        demand(event.executor == told, f"{event.step} ended on {event.executor}, not {told}")
        is_placed = step.run is not None
        demand(told is None or (event.queued_s is not None) == is_placed, f"{event.step} waited")

    def _step_switched(self, event: Any) -> None:
        step = self._steps[event.step]
        targets = [target.name for target in step.definition.targets()]
        demand(event.to_target == targets[event.fallback], f"{event.step}: {event.to_target}")
        demand(event.to_target == f"{event.provider}/{event.model}", event.to_target)
        demand(event.from_target in targets[: event.fallback], f"{event.step} was elsewhere")
        demand(event.attempt == step.attempts, f"{event.step}: attempt {event.attempt}")
        step.replies.clear()

    def _step_succeeded(self, event: Any) -> None:
        # A decision ends its step, which waits; so does a resume after it.
        step = self._live(event)
        demand(step.call is None, f"{event.step} succeeded while it asked")
        demand(event.duration_s >= 0, f"{event.step} took {event.duration_s} s")
        demand(step.children == step.total, f"{event.step} misses some of its steps")
        self._demand_place(event)
        demand(not step.is_elsewhere or step.run is not None, f"{event.step} ran nowhere")
        if not step.definition.has_members and event.step == step.definition.id:
            declared = {file.path for file in step.definition.files}
            is_all = not declared or len(step.files) == len(declared)
            demand(is_all, f"{event.step} wrote {step.files}, not {declared}")
        step.status, step.in_doubt, step.options = "succeeded", False, ()
        step.replies.clear()

    def _step_failed(self, event: Any) -> None:
        step = self._live(event)
        self._demand_place(event)
        self._cut(step)
        if event.on_content:
            step.replies.clear()
        step.failure, step.options = event, ()
        if event.retry_at is not None:
            demand(event.tolerated is None, f"{event.step} is tried again, and tolerated")
            demand((event.delay_s or 0.0) >= 0, f"{event.step} waits {event.delay_s} s")
            step.status = "waiting"
            return
        demand(event.delay_s is None, f"{event.step} has failed, and waits")
        demand(not event.tolerated or step.definition.continue_on_error, f"{event.step} tolerated")
        if step.in_doubt and event.kind == "connection" and step.definition.on_unknown == "fail":
            step.in_doubt = False
        step.status, step.is_tolerated = "failed", bool(event.tolerated)

    def _step_expanded(self, event: Any) -> None:
        step = self._running(event)
        demand(event.total >= len(event.children), f"{event.step}: {event.total}")
        demand(event.first <= max(event.total, 1), f"{event.step}: from {event.first}")
        demand(len(event.shapes) in (1, len(event.children)), f"{event.step}: {event.shapes}")
        for child in event.children:
            demand(child not in self._steps, f"{child} is there already")
            self._steps[child] = _Step(self._definitions[own_name(child)], parent=event.step)
        step.is_expanded = True
        step.children += len(event.children)
        step.total = event.total

    def _step_skipped(self, event: Any) -> None:
        step = self._steps[event.step]
        demand(step.status in ("pending", "waiting"), f"{event.step} skipped as {step.status}")
        for name in event.because:
            demand(name in self._steps, f"{event.step} skipped because of {name}")
        if event.condition is not None:
            known = (step.definition.condition, step.definition.item_condition)
            demand(event.condition in known, f"{event.step}: {event.condition}")
        step.status, step.options, step.over = "skipped", (), None

    def _step_interrupted(self, event: Any) -> None:
        step = self._running(event)
        if event.reason == "crash":
            demand(event.duration_s is None, f"{event.step}: who measured {event.duration_s} s?")
            demand(not step.is_elsewhere, f"{event.step} was not cut by a crash")
        if event.reason == "worker":
            demand(step.run is not None, f"{event.step} lost a worker that it did not have")
        step.in_doubt = step.in_doubt or step.call is not None
        self._cut(step)
        step.status = "pending"

    def _cut(self, step: _Step) -> None:
        """The end of an attempt; a call without an end is in doubt."""
        if step.call is not None:
            self.calls_in_doubt += 1
            step.call = None

    def _running(self, event: Any) -> _Step:
        step = self._steps[event.step]
        demand(step.status == "running", f"{event.type} of {event.step}, which is {step.status}")
        demand(event.attempt == step.attempts, f"{event.step}: attempt {event.attempt}")
        return step

    def _live(self, event: Any) -> _Step:
        step = self._steps[event.step]
        is_live = step.status in ("running", "waiting", "pending")
        demand(is_live, f"{event.type} of {event.step}, which is {step.status}")
        demand(event.attempt == step.attempts, f"{event.step}: attempt {event.attempt}")
        return step

    # Questions.

    def _approval_requested(self, event: Any) -> None:
        step = self._steps[event.step]
        approval = step.definition.approval
        if approval is not None:
            self._running(event)
            demand(event.options == approval.options, f"{event.step}: {event.options}")
            step.asked_of = "approval"
        else:
            demand(step.status == "pending", f"asked about {event.step}, {step.status}")
            held = step.in_doubt and step.definition.on_unknown == "ask"
            demand(held, f"asked about {event.step}, which is not in doubt")
            demand(event.options == ("approve", "reject"), f"{event.step}: {event.options}")
            demand(event.timeout_s is None, f"{event.step}: a doubt does not expire")
            step.asked_of = "in_doubt"
        demand(not step.options, f"{event.step} is asked about twice")
        step.status, step.options, step.expires_at = "waiting", event.options, event.expires_at

    def _decided(self, event: Any) -> None:
        step = self._steps[event.step]
        demand(bool(step.options), f"nothing was asked about {event.step}")
        demand(event.option in step.options, f"{event.step}: {event.option}")
        demand(event.attempt == step.attempts, f"{event.step}: attempt {event.attempt}")
        expires = event.by is None
        demand(not expires or step.expires_at is not None, f"{event.step}: decided by nobody")
        if step.asked_of == "in_doubt":
            step.status = "pending"
            step.in_doubt = event.option != "approve"
        step.options = ()

    # Calls and files.

    def _requested(self, event: Any) -> None:
        step = self._running(event)
        demand(step.call is None, f"{event.step} asks twice at once")
        ended = step.calls_ended
        demand(event.call == ended + 1, f"{event.step}: call {event.call} after {ended} that ended")
        demand(event.worst_case is not None, f"{event.step}: what can it cost?")
        has_budget = any(True for _ in self._budgets_of(event.step))
        demand((event.reserved is not None) == has_budget, f"{event.step}: {event.reserved}")
        in_money = any(budget.max_cost_usd is not None for budget in self._budgets_of(event.step))
        if in_money:
            worst = event.worst_case.cost_nano_usd
            demand(event.reserved.cost_nano_usd == worst, f"{event.step}: reserved")
        step.call = event

    def _budgets_of(self, name: str) -> Iterable[Any]:
        for place in self._lineage(name):
            definition = self._steps[place].definition
            if definition.budget is not None and place == definition.id:
                yield definition.budget
        if self._definition.budget is not None:
            yield self._definition.budget

    def _responded(self, event: Any) -> None:
        step = self._end_call(event)
        step.replies[self._version] = (event.request_sha256, event.call)
        in_money = any(budget.max_cost_usd is not None for budget in self._budgets_of(event.step))
        charged = event.charged_nano_usd
        demand((charged is not None) == in_money, f"{event.step}: {charged}")
        self._failures[self._asked] = 0

    def _call_failed(self, event: Any) -> None:
        self._end_call(event)
        is_unknown = event.usage is None and event.kind in _IN_DOUBT
        is_in_doubt = not event.unsent and (bool(event.partial) or is_unknown)
        self.calls_in_doubt += is_in_doubt
        before = self._failures[self._asked]
        if event.kind != "rate_limit" or not event.retry_after_s:
            # A server that says when it has room again has no outage.
            self._failures[self._asked] = before + 1 if event.kind in TRANSIENT else 0

    def _end_call(self, event: Any) -> _Step:
        step = self._running(event)
        asked = step.call
        demand(asked is not None, f"{event.type} of {event.step}, which did not ask")
        demand(event.call == asked.call, f"{event.step}: call {event.call}, not {asked.call}")
        demand(event.provider == asked.provider, f"{event.step}: {event.provider}")
        demand(event.duration_s >= 0, f"{event.step} took {event.duration_s} s")
        self._asked = f"{asked.provider}/{asked.model}"
        step.call = None
        step.calls_ended += 1
        return step

    def _hit(self, event: Any) -> None:
        step = self._running(event)
        demand(event.paid_by is None, f"{event.step}: another job paid")
        told = step.replies.get(event.version)
        demand(told == (event.request_sha256, event.call), f"{event.step}: no such reply: {event}")

    def _file_written(self, event: Any) -> None:
        step = self._running(event)
        declared = {file.path for file in step.definition.files}
        names = {str(path).rpartition("/")[2] for path in declared}
        demand(event.path.rpartition("/")[2] in names, f"{event.step} wrote {event.path}")
        step.files.add(event.path)


RULES: Mapping[str, Callable[[Judge, Any], None]] = {
    "job.submitted": Judge._submitted,
    "job.started": Judge._started,
    "job.resumed": Judge._resumed,
    "job.interrupted": Judge._stopped,
    "job.waiting": Judge._waiting,
    "job.succeeded": Judge._ended,
    "job.failed": Judge._ended,
    "job.cancelling": Judge._cancelled,
    "job.cancelled": Judge._cancelled,
    "job.amended": Judge._amended,
    "job.tagged": Judge._tagged,
    "job.noted": Judge._noted,
    "score.recorded": Judge._scored,
    "hook.started": Judge._hook_started,
    "hook.ended": Judge._hook_ended,
    "circuit.opened": Judge._circuit_opened,
    "circuit.closed": Judge._circuit_closed,
    "budget.exceeded": Judge._budget_exceeded,
    "budget.raised": Judge._budget_raised,
    "step.started": Judge._step_started,
    "step.switched": Judge._step_switched,
    "step.succeeded": Judge._step_succeeded,
    "step.failed": Judge._step_failed,
    "step.expanded": Judge._step_expanded,
    "step.skipped": Judge._step_skipped,
    "step.interrupted": Judge._step_interrupted,
    "approval.requested": Judge._approval_requested,
    "approval.decided": Judge._decided,
    "llm.requested": Judge._requested,
    "llm.responded": Judge._responded,
    "llm.failed": Judge._call_failed,
    "cache.hit": Judge._hit,
    "file.written": Judge._file_written,
}
"""The rule of each type of event that a simulated job can have."""

WORKER_RULES: Mapping[str, Callable[[Judge, Any], None]] = {
    "step.placed": Judge._step_placed,
    "step.unplaced": Judge._step_unplaced,
    "step.reattached": Judge._step_reattached,
}
"""The rule of each type of event that only attempts on the workers of an executor have."""


def _all_steps(steps: Iterable[StepDef]) -> Iterable[StepDef]:
    for step in steps:
        yield step
        yield from _all_steps(step.steps)

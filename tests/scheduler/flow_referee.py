"""The referee of flows: it checks committed events against the rules, and raises Objection.

It shares no code with the scheduler, and examines every step for each check. It checks what may
happen when; the final result of a flow is left to the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.flow_model import Flow, Limit, Node, all_nodes
from tests.scheduler.flow_stand import own_name
from tests.scheduler.watches import Objection, demand

_ENDS = ("succeeded", "failed", "skipped", "cancelled")
_DECIDED = ("step.succeeded", "step.failed", "step.skipped")
_ANY_END = ("failure", "always", "cancelled")


@dataclass
class Seen:
    """The referee's knowledge of a step that exists."""

    node: Node
    needs: tuple[str, ...]
    parent: str | None = None
    status: str = "pending"
    is_tolerated: bool = False
    holds: str = ""
    children: list[str] = field(default_factory=list)
    total: int = 0
    is_expanded: bool = False
    attempts: int = 0
    failures: int = 0
    replies: int = 0
    succeeded: int = 0
    may_stay: bool = False
    decided: str = ""

    @property
    def is_good(self) -> bool:
        return self.status == "succeeded" or (self.status == "failed" and self.is_tolerated)


@dataclass
class Account:
    """A budget's limits and what is spent; calls in flight count with their worst case."""

    limit: Limit
    calls: int = 0
    tokens: int = 0
    held: dict[str, int] = field(default_factory=dict)
    raised_calls: int | None = None
    raised_tokens: int | None = None

    def check(self, name: str) -> None:
        most_calls = self.raised_calls or self.limit.max_calls
        most_tokens = self.raised_tokens or self.limit.max_tokens
        if most_calls is not None:
            demand(self.calls <= most_calls, f"{name}: {self.calls} of {most_calls} calls")
        if most_tokens is not None:
            used = self.tokens + sum(self.held.values())
            demand(used <= most_tokens, f"{name}: {used} of {most_tokens} tokens")


class FlowReferee:
    """Checks the events of one job, including crashes, decisions and resumes.

    While `is_stopping`, ready steps need not start.
    """

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.job = "submitted"
        self.versions = 0
        self.is_stopping = False
        self.steps: dict[str, Seen] = {}
        self._alive = False
        self._now = 0.0
        self._nodes = {node.id: node for node in all_nodes(flow.nodes)}
        self._accounts: dict[str, Account] = {}
        if flow.budget is not None:
            self._accounts[""] = Account(flow.budget)
        for node in flow.nodes:
            self._born(node.id, node, node.needs, None)

    @property
    def running(self) -> list[str]:
        """The steps that hold a slot."""
        return [
            name for name, step in self.steps.items() if step.status == "running" and not step.holds
        ]

    def observe(self, now: float, events: Sequence[Any]) -> None:
        """Check one commit at that time. Raises Objection."""
        if self._alive and now > self._now:
            self._object_to_idleness()
        self._now = now
        for event in events:
            self._one(event)

    def catch_up(self, events: Sequence[Any]) -> None:
        """Take in unobserved commits, and the end of the process."""
        for event in events:
            self._one(event)
        self._alive = False
        self._now = 0.0

    def finished(self) -> None:
        """Check the end of the job."""
        left = [
            name
            for name, step in self.steps.items()
            if step.status not in _ENDS and not step.may_stay
        ]
        demand(self.job in ("succeeded", "failed"), f"the job is {self.job}")
        demand(not left, f"{left} never ended")

    def _born(self, name: str, node: Node, needs: tuple[str, ...], parent: str | None) -> None:
        self.steps[name] = Seen(node, needs, parent)
        if node.budget is not None and name == node.id:
            self._accounts[name] = Account(node.budget)

    def _one(self, event: Any) -> None:
        self.versions += 1
        match event.type:
            case "job.submitted":
                demand(self.versions == 1, "submitted twice")
            case "job.started" | "job.resumed":
                self._opened(event.type)
            case "job.waiting":
                demand(not self.running, f"waits while {self.running} run")
                self._object_to_idleness()
                demand(set(event.steps) <= set(self.steps), "waits for what is not there")
                self.job, self._alive = "waiting", False
            case "job.succeeded" | "job.failed":
                demand(not self.running, f"{event.type} while {self.running} ran")
                self.job, self._alive = event.type.removeprefix("job."), False
            case "job.interrupted":
                demand(not self.running, f"{event.type} while {self.running} ran")
                self.job, self._alive = "interrupted", False
            case "job.cancelling":
                demand(self._alive and not self.running, f"cancelling while {self.running} ran")
                self._cancel(but=event.steps)
            case "job.cancelled":
                demand(self.job not in ("succeeded", "failed"), f"cancelled when {self.job}")
                demand(not self.running, f"{event.type} while {self.running} ran")
                self._cancel(but=())
                self.job, self._alive = "cancelled", False
            case "approval.decided":
                step = self.steps[event.step]
                demand(step.status == "waiting", f"{event.step} decided as {step.status}")
                demand(not step.decided, f"{event.step} decided twice")
                step.decided = event.option
            case "budget.raised":
                account = self._accounts[event.account or ""]
                account.raised_calls = event.max_calls or account.raised_calls
                account.raised_tokens = event.max_tokens or account.raised_tokens
            case _:
                self._step(event, self.steps[event.step])

    def _cancel(self, *, but: Sequence[str]) -> None:
        for name, step in self.steps.items():
            if step.status not in _ENDS and name not in but:
                step.status = "cancelled"

    def _opened(self, kind: str) -> None:
        demand(not self._alive, f"{kind} of a job that runs")
        had_ended = self.job in ("succeeded", "failed", "cancelled")
        self.job, self._alive = "running", True
        for account in self._accounts.values():
            account.tokens += sum(account.held.values())
            account.held.clear()
        for step in self.steps.values():
            was_rejected = step.decided == "reject" and not had_ended
            if step.status == "cancelled":
                step.failures = 0
                step.status = "running" if step.is_expanded else "pending"
            if step.status in ("skipped", "failed") and not step.is_tolerated and not was_rejected:
                # It may be reopened; if nothing could change, it need not be.
                step.may_stay = True
                step.decided = ""
                step.status = "running" if step.holds and step.status == "failed" else "pending"
            elif step.status == "running" and step.holds and not step.is_expanded:
                # The stream was cut there: no children exist.
                step.status = "pending"
            elif step.status == "running" and step.node.kind == "person" and not step.holds:
                step.status = "pending"

    def _step(self, event: Any, step: Seen) -> None:
        name = event.step
        is_cut = event.type == "step.interrupted" and event.reason == "crash"
        demand(self._alive or is_cut or event.type in _DECIDED, f"{event} is late")
        match event.type:
            case "step.started":
                self._started(name, step, event)
            case "step.expanded":
                self._expanded(name, step, event)
            case "step.succeeded":
                demand(step.status in ("running", "waiting"), f"{name} succeeded as {step.status}")
                demand(not step.succeeded, f"{name} succeeded twice")
                step.succeeded += 1
                self._ended(name, step, "succeeded")
            case "step.failed":
                if event.retry_at is not None:
                    step.failures += 1
                    demand(step.failures < self.flow.attempts_max, f"{name} is tried again")
                    demand(step.status == "running", f"{name} failed as {step.status}")
                    step.status = "waiting"
                    return
                step.is_tolerated = bool(event.tolerated)
                demand(not event.tolerated or step.node.is_tolerated, f"{name} is tolerated")
                self._ended(name, step, "failed")
            case "step.skipped":
                demand(step.status == "pending", f"{name} skipped as {step.status}")
                self._demand_ended_needs(name, step, "skipped")
                self._ended(name, step, "skipped")
            case "step.interrupted":
                step.status = "pending"
            case "approval.requested" | "budget.exceeded":
                demand(step.status == "running", f"{event.type} of {name}, {step.status}")
                step.status = "waiting"
            case "llm.requested" | "llm.responded" | "llm.failed":
                self._call(event, name, step)

    def _started(self, name: str, step: Seen, event: Any) -> None:
        paused = step.status == "waiting" and not step.decided
        demand(step.status == "pending" or paused, f"{name} began as {step.status}")
        self._demand_needs(name, step)
        step.attempts += 1
        demand(event.attempt == step.attempts, f"{name}: attempt {event.attempt}")
        step.status = "running"
        step.may_stay = False
        if step.node.kind != "person" and event.kind not in ("for_each", "loop", "group"):
            beside = self.running
            demand(len(beside) <= self.flow.total, f"{name} began beside {beside}")
            if step.node.kind == "ask":
                asking = [other for other in beside if self.steps[other].node.kind == "ask"]
                demand(len(asking) <= self.flow.abreast, f"{name} began beside {asking}")
        if event.kind in ("for_each", "loop", "group"):
            step.holds = event.kind
        self._demand_room_around(name)

    def _demand_room_around(self, name: str) -> None:
        """Check max_parallel of each enclosing fan-out."""
        place, holder = name, self.steps[name].parent
        while holder is not None:
            around = self.steps[holder]
            if around.holds == "for_each" and around.node.abreast is not None:
                busy = [item for item in around.children if self._is_busy(item) or item == place]
                demand(len(busy) <= around.node.abreast, f"{name} began beside {busy}")
            place, holder = holder, around.parent

    def _is_busy(self, name: str) -> bool:
        """Whether the step or a child runs or waits."""
        step = self.steps[name]
        if step.holds:
            return any(self._is_busy(child) for child in step.children)
        return self._is_under_way(name)

    def _is_under_way(self, name: str) -> bool:
        step = self.steps[name]
        return step.status in ("running", "waiting")

    def _demand_needs(self, name: str, step: Seen) -> None:
        if step.parent is not None:
            parent = self.steps[step.parent]
            demand(parent.status == "running", f"{name} began while {step.parent} was not")
        self._demand_ended_needs(name, step, "began")
        for need in step.needs:
            before = self.steps[need]
            if step.node.condition not in _ANY_END:
                demand(before.is_good, f"{name} began although {need} {before.status}")

    def _demand_ended_needs(self, name: str, step: Seen, did: str) -> None:
        for need in step.needs:
            before = self.steps[need]
            has_ended = before.status in _ENDS or before.may_stay
            demand(has_ended, f"{name} {did} while {need} was {before.status}")

    def _expanded(self, name: str, step: Seen, event: Any) -> None:
        demand(step.status == "running" and bool(step.holds), f"{name} expanded")
        if step.holds == "loop" and event.first > 1:
            before = self.steps[f"{name}#{event.first - 1}"]
            demand(before.status == "succeeded", f"{name} goes on after {before.status}")
            demand(event.first <= (step.node.rounds or 0), f"{name} has too many rounds")
        for child in event.children:
            demand(child not in self.steps, f"{child} came into being twice")
            node = self._nodes[own_name(child)]
            prefix = child.removesuffix(node.id) if step.holds == "group" else ""
            needs = tuple(prefix + need for need in node.needs) if prefix else ()
            self._born(child, node, needs, name)
            step.children.append(child)
        step.total = event.total
        step.is_expanded = True

    def _ended(self, name: str, step: Seen, status: str) -> None:
        left = [child for child in step.children if self.steps[child].status not in _ENDS]
        left = [child for child in left if not self.steps[child].may_stay]
        demand(not left, f"{name} {status} before {left}")
        if status == "succeeded" and step.holds in ("for_each", "group"):
            demand(len(step.children) == step.total, f"{name} ended with some missing")
        step.status = status
        step.failures = 0
        step.may_stay = False

    def _call(self, event: Any, name: str, step: Seen) -> None:
        demand(step.status == "running", f"{event.type} of {name}, which does not run")
        for account_name, account in self._accounts_of(name):
            if event.type == "llm.requested":
                account.calls += 1
                account.held[name] = event.reserved.tokens if event.reserved else 0
                account.check(account_name or "the job")
            else:
                reserved = account.held.pop(name, 0)
                if event.usage is not None:
                    account.tokens += event.usage.input_tokens + event.usage.output_tokens
                elif event.type == "llm.responded":
                    account.tokens += reserved
        if event.type == "llm.responded":
            step.replies += 1

    def _accounts_of(self, name: str) -> list[tuple[str, Account]]:
        found = []
        place: str | None = name
        while place is not None:
            if place in self._accounts:
                found.append((place, self._accounts[place]))
            place = self.steps[place].parent
        if "" in self._accounts:
            found.append(("", self._accounts[""]))
        return found

    def _object_to_idleness(self) -> None:
        """Object if a step that may run waits although there is room for it."""
        if self.is_stopping:
            return
        for name, step in self.steps.items():
            if step.status == "pending" and not step.may_stay and self._could_run(name, step):
                raise Objection(f"{name} could run at {self._now} beside {self.running}")

    def _could_run(self, name: str, step: Seen) -> bool:
        if any(self.steps[need].status not in _ENDS for need in step.needs):
            return False
        parent = self.steps[step.parent] if step.parent else None
        if parent is not None:
            if parent.status != "running":
                return False
            if parent.holds == "for_each" and parent.node.abreast is not None:
                busy = [child for child in parent.children if self._is_open(child)]
                if len(busy) >= parent.node.abreast:
                    return False
        if len(self.running) >= self.flow.total:
            return False
        asking = [other for other in self.running if self.steps[other].node.kind == "ask"]
        return step.node.kind != "ask" or len(asking) < self.flow.abreast

    def _is_open(self, name: str) -> bool:
        step = self.steps[name]
        return self._is_under_way(name) or (step.may_stay and step.status == "pending")

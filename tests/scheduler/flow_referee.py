"""The referee of flows: it checks committed events against the rules, and raises Objection.

It shares no code with the scheduler, and examines every step for each check. It checks what may
happen when; the final result of a flow is left to the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from orc.ledger.money import NANO_PER_USD
from tests.builders import EPOCH_S
from tests.flow_model import Flow, Limit, Node, all_nodes
from tests.model import NEVER
from tests.scheduler.flow_stand import LANE, TARGET, TOKENS, own_name, price
from tests.scheduler.watches import (
    OF_PEOPLE,
    CircuitWatch,
    Objection,
    RateWatch,
    Ruling,
    demand,
)

_ENDS = ("succeeded", "failed", "skipped", "cancelled")
_DECIDED = ("step.succeeded", "step.failed", "step.skipped")
_ENDS_ATTEMPT = ("step.succeeded", "step.failed", "step.interrupted", "budget.exceeded")
_ANY_END = ("failure", "always", "cancelled")
_IN_DOUBT = ("timeout", "connection", "protocol")


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
    nano_usd: int = 0
    held: dict[str, tuple[int, int]] = field(default_factory=dict)

    def check(self, name: str) -> None:
        """Check that even the worst case of the calls in flight is within the limits."""
        used = {
            "max_calls": self.calls,
            "max_tokens": self.tokens + sum(tokens for tokens, _ in self.held.values()),
            "max_cost_usd": self.nano_usd + sum(nano_usd for _, nano_usd in self.held.values()),
        }
        for limit, amount in used.items():
            most = self.most(limit)
            demand(most is None or amount <= most, f"{name}: {amount} of {limit} {most}")

    def raise_to(self, event: Any) -> None:
        """Take the limits that replace the earlier ones."""
        given = {
            "max_calls": event.max_calls,
            "max_tokens": event.max_tokens,
            "max_cost_usd": event.max_cost_nano_usd,
        }
        more = {name: value for name, value in given.items() if value is not None}
        for name, value in more.items():
            before = self.most(name)
            demand(before is not None and value > before, f"{name} is raised to {value}")
            if name == "max_cost_usd":
                more[name] = value / NANO_PER_USD
        self.limit = replace(self.limit, **more)

    def most(self, name: str) -> Any:
        """A limit; that in money is in nano-dollars, of which the flows have whole ones."""
        limit = getattr(self.limit, name)
        return round(limit * NANO_PER_USD) if limit and name == "max_cost_usd" else limit

    def exceeded(self, name: str, event: Any) -> None:
        """Check the amounts of `budget.exceeded`."""
        spent = {"max_calls": self.calls, "max_tokens": self.tokens, "max_cost_usd": self.nano_usd}
        told = (event.spent, event.maximum)
        real = (spent[event.limit], self.most(event.limit))
        demand(told == real, f"{name}: {event.limit} {told}, not {real}")

    def settle(self, step: str, *, tokens: int, nano_usd: int) -> None:
        """Replace the worst case of the step's call by what it is charged."""
        if self.held.pop(step, None) is not None:
            self.tokens += tokens
            self.nano_usd += nano_usd

    def settle_in_full(self, step: str) -> None:
        """Charge the worst case of the step's call, whose outcome is unknown."""
        tokens, nano_usd = self.held.get(step, (0, 0))
        self.settle(step, tokens=tokens, nano_usd=nano_usd)


class FlowReferee:
    """Checks the events of one job, including crashes, decisions and resumes.

    While `is_stopping`, ready steps need not start.
    """

    def __init__(self, flow: Flow, *, epoch_s: float = EPOCH_S) -> None:
        self.flow = flow
        self.job = "submitted"
        self.versions = 0
        self.is_stopping = False
        self.steps: dict[str, Seen] = {}
        self._alive = False
        self._is_amended = False
        self._now = 0.0
        self._moment = 0.0
        self._epoch_s = epoch_s
        self._circuits = CircuitWatch(flow.threshold, flow.cooldown_s)
        self._ruling: Ruling | None = None
        self._rates = RateWatch(
            {} if flow.rate is None else {LANE: flow.rate},
            {} if flow.token_rate is None else {LANE: flow.token_rate},
            TOKENS.input_tokens + TOKENS.output_tokens,
        )
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
            self._object_to_idleness(before=now)
        self._now = self._moment = now
        for event in events:
            self._one(event)
        demand(self._ruling is None, f"{self._ruling} is missing from its turn")

    def catch_up(self, events: Sequence[Any]) -> None:
        """Take in unobserved commits, and the end of the process."""
        self._moment = NEVER
        for event in events:
            self._one(event)
        self._alive = False
        self._ruling = None
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
        if event.type in OF_PEOPLE:
            self._is_amended |= event.type == "job.amended"
            return
        ruling, self._ruling = self._ruling, None
        if ruling is not None:
            ruling.check(event, epoch_s=self._epoch_s, timed=self._moment < NEVER)
        else:
            demand(not event.type.startswith("circuit."), f"nothing called for {event}")
        match event.type:
            case "job.submitted":
                demand(self.versions == 1, "submitted twice")
            case "job.started" | "job.resumed":
                self._opened(event.type)
            case "job.waiting":
                demand(not self.running, f"waits while {self.running} run")
                self._object_to_idleness(before=self._moment)
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
                is_doubt = step.node.kind != "person"
                demand(is_doubt or not step.decided, f"{event.step} decided twice")
                step.decided = event.option
                if is_doubt and event.option == "approve":
                    step.status, step.decided = "pending", ""
            case "budget.raised":
                self._accounts[event.account or ""].raise_to(event)
            case "hook.started" | "hook.ended":
                is_lost = getattr(event, "outcome", "") == "unknown"
                demand(not self._alive or is_lost, f"{event.type} while it runs")
            case "circuit.opened":
                self._circuits.opened(event.target, event.retry_at - self._epoch_s, event.kind)
            case "circuit.closed":
                self._circuits.closed(event.target)
            case _:
                self._step(event, self.steps[event.step])

    def _cancel(self, *, but: Sequence[str]) -> None:
        for name, step in self.steps.items():
            if step.status not in _ENDS and name not in but:
                step.status = "cancelled"

    def _opened(self, kind: str) -> None:
        demand(not self._alive, f"{kind} of a job that runs")
        # Who amends a job asks again for what was rejected, as who resumes one that has ended.
        had_ended = self._is_amended or self.job in ("succeeded", "failed", "cancelled")
        self._is_amended = False
        self.job, self._alive = "running", True
        self._circuits.forget()
        self._rates.forget()
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
        if event.type in _ENDS_ATTEMPT:
            self._left(name)
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
            case "approval.requested":
                expected = "running" if step.node.kind == "person" else "pending"
                demand(step.status == expected, f"{event.type} of {name}, {step.status}")
                step.status = "waiting"
            case "budget.exceeded":
                demand(step.status == "running", f"{event.type} of {name}, {step.status}")
                found = dict(self._accounts_of(name))
                account = event.account or ""
                demand(account in found, f"{name} is beyond a budget of {account!r}")
                found[account].exceeded(account or "the job", event)
                step.status = "waiting"
            case "llm.requested" | "llm.responded" | "llm.failed":
                self._call(event, name, step)
            case "cache.hit":
                demand(step.status == "running", f"{event.type} of {name}, {step.status}")
            case _:
                raise Objection(f"no rule for {event.type}")

    def _left(self, name: str) -> None:
        """An attempt ended; a call without an end is charged in full."""
        self._circuits.left(name)
        self._rates.left(name)
        for _, account in self._accounts_of(name):
            account.settle_in_full(name)

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
                self._circuits.began(name, TARGET, self._moment)
                self._rates.began(name, LANE, self._moment)
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
                account.held[name] = (event.reserved.tokens, event.reserved.cost_nano_usd or 0)
                account.check(account_name or "the job")
            elif event.usage is not None:
                tokens = event.usage.input_tokens + event.usage.output_tokens
                account.settle(name, tokens=tokens, nano_usd=event.charged_nano_usd or 0)
            elif event.type == "llm.failed" and event.kind not in _IN_DOUBT:
                account.settle(name, tokens=0, nano_usd=0)
            else:
                account.settle_in_full(name)
        if event.type == "llm.requested":
            self._rates.sent(name, LANE, self._moment)
            return
        charged = event.charged_nano_usd
        if charged is not None:
            due = price(event.provider, event.model, event.usage)
            demand(charged == due, f"{name}: {charged} nano-dollars, not {due}")
        self._ruling = self._circuits.call_ended(name, TARGET, event, self._moment)
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

    def _object_to_idleness(self, *, before: float) -> None:
        """Object if a step that may run waits although there is room for it."""
        if self.is_stopping:
            return
        for name, step in self.steps.items():
            is_free = step.status == "pending" and not step.may_stay
            if is_free and self._could_run(name, step) and self._may_ask(step, before):
                raise Objection(f"{name} could run at {self._now} beside {self.running}")

    def _may_ask(self, step: Seen, now: float) -> bool:
        """Whether neither the circuit nor the rate kept the step from its model before now."""
        if step.node.kind != "ask" or now == NEVER:
            return step.node.kind != "ask"
        is_closed = self._circuits.may_ask(TARGET, now, strictly_before=True)
        return is_closed and self._rates.may_start(LANE, now, strictly_before=True)

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

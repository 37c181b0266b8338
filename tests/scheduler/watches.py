"""The referee's knowledge of steps, circuits and limits: an independent version of these rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.model import NEVER, TRANSIENT, Choice, Task

_SLACK_S = 1 / 64
"""A call is recorded a few milliseconds after it took its place in the rate."""


OF_PEOPLE = ("job.amended", "job.tagged", "job.noted", "score.recorded")
"""Events that start and end no step. Here an amendment only changes scores, and opens rejected steps."""


class Objection(AssertionError):
    """A run broke a rule."""


def demand(holds: bool, objection: str) -> None:
    """Raise Objection unless the condition holds."""
    if not holds:
        raise Objection(objection)


@dataclass
class Course:
    """The progress of one task: `place` is the index of its target, `kept` its recorded replies."""

    task: Task
    status: str = "pending"
    attempts: int = 0
    failures: int = 0
    place: int = 0
    kept: int = 0
    replies: int = 0
    due: float = 0.0
    delay_s: float = 0.0
    has_succeeded: bool = False
    cut_by_job: bool = False
    starts: list[float] = field(default_factory=list)

    @property
    def choice(self) -> Choice:
        """The target that it calls now."""
        return self.task.choices[self.place]

    @property
    def is_tolerated(self) -> bool:
        """Whether its failure is tolerated; a failure by the job's own end is reopened."""
        return self.task.tolerated and not self.cut_by_job

    @property
    def is_good(self) -> bool:
        """Whether its dependents may start."""
        return self.status == "succeeded" or (self.status == "failed" and self.is_tolerated)

    @property
    def is_bad(self) -> bool:
        """Whether its dependents will be skipped."""
        return self.status in ("failed", "skipped") and not self.is_good


@dataclass
class CircuitWatch:
    """The circuits during one ownership, by target. With a `threshold` of 0, none opens."""

    threshold: int
    cooldown_s: float
    failures: dict[str, int] = field(default_factory=dict)
    retry_at: dict[str, float] = field(default_factory=dict)
    probes: dict[str, str] = field(default_factory=dict)
    limited: set[str] = field(default_factory=set)

    def may_ask(self, target: str, now: float, *, strictly_before: bool = False) -> bool:
        """Whether a step may start at the target now, or could have just before."""
        if target not in self.retry_at:
            return True
        due = self.retry_at[target]
        is_due = due < now if strictly_before else due <= now
        return is_due and target not in self.probes

    def began(self, name: str, target: str, now: float) -> None:
        """Note that a step started at the target."""
        demand(self.may_ask(target, now), f"{name} asked {target}, whose circuit is open")
        if target in self.retry_at:
            self.probes[target] = name

    def left(self, name: str) -> None:
        """Note that the step's attempt ended."""
        self.probes = {target: probe for target, probe in self.probes.items() if probe != name}

    def call_ended(self, name: str, target: str, event: Any, now: float) -> Ruling | None:
        """The circuit event that must follow the end of a call."""
        fails = event.type == "llm.failed" and event.kind in TRANSIENT
        is_limit = fails and event.kind == "rate_limit"
        asked_s = (event.retry_after_s or 0.0) if is_limit else 0.0
        if not asked_s:
            # A server that says when it has room again has no outage.
            self.failures[target] = self.failures.get(target, 0) + 1 if fails else 0
        is_open, is_probe = target in self.retry_at, self.probes.get(target) == name
        if is_open and not is_probe:
            return None
        if not fails:
            return Ruling("circuit.closed", target) if is_probe else None
        # A limit is over when the probe fails in another way, which counts as it does elsewhere.
        is_over = is_probe and target in self.limited and not is_limit
        is_again = is_probe and not is_over
        failures = self.failures.get(target, 0)
        opens = asked_s or is_again or self.threshold <= failures
        if not (self.threshold and opens):
            return Ruling("circuit.closed", target) if is_probe else None
        cooldown_s = max(self.cooldown_s, (event.retry_after_s or 0.0))
        if is_limit:
            over = failures - self.threshold
            cooldown_s = asked_s or min(self.cooldown_s, 2.0 ** max(0, over))
        return Ruling("circuit.opened", target, now + cooldown_s, event.kind)

    def opened(self, target: str, retry_at: float, kind: str) -> None:
        """The event is there."""
        self.retry_at[target] = retry_at
        self.probes.pop(target, None)
        self.limited.discard(target)
        if kind == "rate_limit":
            self.limited.add(target)

    def closed(self, target: str) -> None:
        """The event is there."""
        del self.retry_at[target]
        del self.probes[target]
        self.limited.discard(target)

    def forget(self) -> None:
        """The job is resumed."""
        for known in (self.failures, self.retry_at, self.probes, self.limited):
            known.clear()


@dataclass(frozen=True)
class Ruling:
    """An event that must come next."""

    type: str
    target: str
    retry_at: float = NEVER
    kind: str | None = None

    def check(self, event: Any, *, epoch_s: float, timed: bool) -> None:
        """Raise Objection for any other event."""
        told = (event.type, getattr(event, "target", None))
        demand(told == (self.type, self.target), f"{told} where {self} was due")
        if self.type == "circuit.opened":
            demand(event.kind == self.kind, f"it opened for {event.kind}, not {self.kind}")
            on_time = not timed or event.retry_at - epoch_s == self.retry_at
            demand(on_time, f"{event.target} is closed until {event.retry_at - epoch_s}: {self}")


@dataclass
class RoomWatch:
    """How many steps may call each provider at once, after its rate limit failures."""

    limits: Mapping[str, int]
    total: int
    left: dict[str, float] = field(default_factory=dict)
    _halved_at: dict[str, int] = field(default_factory=dict)
    _sent_at: dict[str, int] = field(default_factory=dict)

    def of(self, lane: str) -> float:
        """The limit of a provider."""
        return min(self.limits.get(lane, NEVER), int(self.left.get(lane, self.total)))

    def sent(self, name: str, version: int) -> None:
        """Note the version of the event of the step's call."""
        self._sent_at[name] = version

    def refused(self, name: str, lane: str, *, in_flight: int, version: int) -> None:
        """Note a rate limit failure of the provider."""
        if self._sent_at[name] < self._halved_at.get(lane, 0):
            return
        self._halved_at[lane] = version
        self.left[lane] = max(1.0, min(in_flight, self.left.get(lane, in_flight)) / 2)

    def answered(self, lane: str) -> None:
        """Note a reply of the provider."""
        if lane in self.left:
            self.left[lane] += 1 / self.left[lane]
            if self.left[lane] >= self.limits.get(lane, self.total):
                del self.left[lane]

    def forget(self) -> None:
        """The job is resumed."""
        self.left.clear()
        self._halved_at.clear()


@dataclass
class RateWatch:
    """How many calls a minute each provider receives, and their tokens, during one ownership.

    A step that starts takes a place for its first call. `tokens` is what each call uses: where
    the product does not know better, it expects more.
    """

    calls: Mapping[str, int]
    tokens: Mapping[str, int] = field(default_factory=dict)
    tokens_of_a_call: int = 1
    _sent: dict[str, list[float]] = field(default_factory=dict)
    _places: dict[str, str] = field(default_factory=dict)

    def may_start(self, lane: str, now: float, *, strictly_before: bool = False) -> bool:
        """Whether a step may start at the provider now; before, if it had to be possible then."""
        if strictly_before and lane in self.tokens:
            # How much the product expects of a call is its own affair.
            return False
        limit = self.calls.get(lane, NEVER)
        slack_s = -_SLACK_S if strictly_before else _SLACK_S
        taken = sum(1 for place in self._places.values() if place == lane)
        return self._in_window(lane, now, slack_s=slack_s) + taken < limit

    def began(self, name: str, lane: str, now: float) -> None:
        """Note that a step started at the provider."""
        demand(self.may_start(lane, now), f"{name} has no room in the rate of {lane}")
        self._places[name] = lane

    def sent(self, name: str, lane: str, now: float) -> None:
        """Note a call."""
        self._places.pop(name, None)
        recent = self._in_window(lane, now, slack_s=_SLACK_S)
        demand(recent < self.calls.get(lane, NEVER), f"{name}: {recent} calls a minute to {lane}")
        used = (recent + 1) * self.tokens_of_a_call
        is_alone = recent == 0
        demand(is_alone or used <= self.tokens.get(lane, NEVER), f"{name}: {used} tokens to {lane}")
        self._sent.setdefault(lane, []).append(now)

    def left(self, name: str) -> None:
        """Note that the step's attempt ended."""
        self._places.pop(name, None)

    def forget(self) -> None:
        """The job is resumed."""
        self._sent.clear()
        self._places.clear()

    def _in_window(self, lane: str, now: float, *, slack_s: float) -> int:
        return sum(1 for at in self._sent.get(lane, ()) if at + 60.0 - slack_s > now)

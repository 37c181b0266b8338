"""Checks beyond the referees': calls and their cost, and cancel signals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from orc.providers import OnDelta, Reply, Request
from orc.scheduler.signals import POLL_S
from tests.scheduler.watches import demand

_JOB_ENDS = ("job.succeeded", "job.failed", "job.cancelled")
_ENDS_ATTEMPT = ("step.succeeded", "step.failed", "step.interrupted")


class CallWatch:
    """Checks that each call is recorded before it is sent, and that no recorded reply is paid twice.

    `lost` counts calls whose end was not recorded: the number of paid replies exceeds the number
    of recorded replies by at most that.
    """

    def __init__(self) -> None:
        self.paid: Counter[str] = Counter()
        self.replies: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self._open: dict[str, Any] = {}
        self._known: dict[str, set[str]] = {}
        self._seen: set[tuple[str, int, int]] = set()
        self._wrong: list[str] = []

    def observe(self, events: Sequence[Any]) -> None:
        """Check committed events. Raises Objection."""
        for event in events:
            self._one(event)
        demand(not self._wrong, "; ".join(self._wrong))

    def sends(self, request: Request) -> None:
        """Note a call to the provider. It is checked later, because the caller catches exceptions."""
        if request.step not in self._open:
            self._wrong.append(f"{request.step} asked before that was committed")

    def check(self) -> None:
        """Check that paid replies without a record belong to lost calls. Raises Objection."""
        demand(not self._wrong, "; ".join(self._wrong))
        for step, paid in sorted(self.paid.items()):
            kept = self.replies[step] + self.lost[step] + (step in self._open)
            demand(paid <= kept, f"{step}: {paid} paid, {self.replies[step]} kept")

    def _one(self, event: Any) -> None:
        step = getattr(event, "step", "")
        known = self._known.setdefault(step, set())
        match event.type:
            case "llm.requested":
                demand(step not in self._open, f"{step} asks twice at once")
                number = (step, event.attempt, event.call)
                demand(number not in self._seen, f"{number} is two calls")
                demand(event.request_sha256 not in known, f"{step} asks what was answered")
                self._seen.add(number)
                self._open[step] = event
            case "llm.responded" | "llm.failed":
                asked = self._open.pop(step, None)
                demand(asked is not None, f"{event.type} of {step}, which did not ask")
                if event.type == "llm.responded":
                    demand(event.request_sha256 == asked.request_sha256, f"{step}: another's reply")
                    self.replies[step] += 1
                    known.add(event.request_sha256)
            case "step.switched":
                known.clear()
        if event.type in _ENDS_ATTEMPT and self._open.pop(step, None) is not None:
            demand(event.type != "step.succeeded", f"{step} succeeded while it asked")
            self.lost[step] += 1
        if event.type == "step.succeeded" or (event.type == "step.failed" and event.on_content):
            known.clear()


class Watched:
    """A provider whose calls and replies are reported to a CallWatch."""

    def __init__(self, provider: Any, watch: CallWatch) -> None:
        self.name = provider.name
        self.params = provider.params
        self.endpoint = provider.endpoint
        self._provider = provider
        self._watch = watch

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        self._watch.sends(request)
        reply: Reply = await self._provider.send(request, on_delta=on_delta)
        self._watch.paid[request.step] += 1
        return reply

    async def models(self) -> tuple[str, ...]:
        return ()

    async def identify(self, model: str) -> str | None:
        # Time passes here too, and other tasks run.
        await trio.lowlevel.checkpoint()
        return None

    async def aclose(self) -> None: ...


@dataclass
class CancelWatch:
    """Checks that a cancel signal is handled at the next poll, however often the job dies."""

    pending: dict[int, float] = field(default_factory=dict)
    """When the one who runs the job could know of each: seconds of his life."""
    heeded: int = 0
    """Up to which one this life knows of them: what is meant for the end of a job still runs."""
    has_ended: bool = False

    def left(self, signal_id: int, at: float) -> None:
        """Note that a signal was sent."""
        self.pending[signal_id] = at

    def born(self) -> None:
        """Note a new life, which has not polled yet."""
        self.pending = dict.fromkeys(self.pending, 0.0)
        self.heeded = 0

    def observe(self, now: float, events: Sequence[Any]) -> None:
        """Check events committed at this time of a life. Raises Objection."""
        for event in events:
            late = [n for n, at in self.pending.items() if now > at + POLL_S and n > self.heeded]
            demand(not late, f"{event.type} at {now}, long after signal {late}")
            self.settle(event)

    def settle(self, event: Any) -> None:
        """Apply what the event says about signals."""
        number = getattr(event, "signal_id", None) or 0
        match event.type:
            case "job.cancelling":
                # Other cancel signals up to this time are handled by the same event.
                self.heeded = max((number, *self.pending))
            case "job.cancelled":
                self._end(number)
            case "job.resumed" if self.has_ended:
                # A signal to a job that has ended needs no handling.
                self._end(number)
            case "job.succeeded" | "job.failed":
                self.pending.clear()
        if event.type in _JOB_ENDS:
            self.has_ended = True
        elif event.type == "job.resumed":
            self.has_ended = False

    def _end(self, number: int) -> None:
        self.pending = {n: at for n, at in self.pending.items() if n > number}

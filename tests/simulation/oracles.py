"""What the referees do not ask: of calls and what they cost, and of signals to cancel."""

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
    """Each call is in the ledger before it is sent, and a reply that is there is not paid again.

    `lost` are calls whose end nobody recorded: at most as many more were paid than
    there are replies.
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
        """Committed events. Raises Objection."""
        for event in events:
            self._one(event)
        demand(not self._wrong, "; ".join(self._wrong))

    def sends(self, request: Request) -> None:
        """The provider is asked; told later, since whoever asks takes any exception for its error."""
        if request.step not in self._open:
            self._wrong.append(f"{request.step} asked before that was committed")

    def check(self) -> None:
        """What was paid and not kept was lost in a window. Raises Objection."""
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
    """A provider, with a watch on what it is asked and what it gives."""

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
        # Another place at which time passes, and at which others get their turn.
        await trio.lowlevel.checkpoint()
        return None

    async def aclose(self) -> None: ...


@dataclass
class CancelWatch:
    """A signal to cancel is answered at the next look, however often its job dies."""

    pending: dict[int, float] = field(default_factory=dict)
    """When the one who runs the job could know of each: seconds of his life."""
    heeded: int = 0
    """Up to which one this life knows of them: what is meant for the end of a job still runs."""
    has_ended: bool = False

    def left(self, signal_id: int, at: float) -> None:
        """Somebody has left the signal."""
        self.pending[signal_id] = at

    def born(self) -> None:
        """Another life: it has not looked yet."""
        self.pending = dict.fromkeys(self.pending, 0.0)
        self.heeded = 0

    def observe(self, now: float, events: Sequence[Any]) -> None:
        """Events that were committed at this time of a life. Raises Objection."""
        for event in events:
            late = [n for n, at in self.pending.items() if now > at + POLL_S and n > self.heeded]
            demand(not late, f"{event.type} at {now}, long after signal {late}")
            self.settle(event)

    def settle(self, event: Any) -> None:
        """What the event says of signals."""
        number = getattr(event, "signal_id", None) or 0
        match event.type:
            case "job.cancelling":
                # Those that come with it want no more than it does.
                self.heeded = max((number, *self.pending))
            case "job.cancelled":
                self._end(number)
            case "job.resumed" if self.has_ended:
                # Only a job that had not ended still owes an answer.
                self._end(number)
            case "job.succeeded" | "job.failed":
                self.pending.clear()
        if event.type in _JOB_ENDS:
            self.has_ended = True
        elif event.type == "job.resumed":
            self.has_ended = False

    def _end(self, number: int) -> None:
        self.pending = {n: at for n, at in self.pending.items() if n > number}

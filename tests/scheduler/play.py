"""Plays a job by hand: commands go to `decide`, and events are folded, at times set by the test."""

from __future__ import annotations

from typing import Any

from orc.ledger.definition import JobDef
from orc.ledger.events import AnyEvent, FailureKind, Payload
from orc.scheduler.core.commands import (
    Command,
    Failed,
    FinishAttempt,
    RecordCall,
    StartAttempt,
    Succeeded,
)
from orc.scheduler.core.fold.evolve import evolve
from orc.scheduler.core.fold.queues import WorkQueues
from orc.scheduler.core.rules.decide import decide
from tests.builders import EPOCH_S, call_failed, record, requested, responded, running

OK = Succeeded(Payload(value=1), 1.0)


class Play:
    """A started job. Times are in seconds since its start."""

    def __init__(self, definition: JobDef) -> None:
        self.state = running(definition)
        self.queues = WorkQueues(self.state)
        self.now = 0.0

    def fold(self, *events: AnyEvent) -> None:
        """Fold these events."""
        for recorded in record(events, after=self.state.version, seconds=self.now):
            evolve(self.state, recorded)

    def do(self, command: Command) -> list[AnyEvent]:
        """Decide on the command, fold the events, and return them."""
        events = decide(self.state, command)
        self.fold(*events)
        return events

    def ready(self, **options: Any) -> list[str]:
        """The steps that may start now."""
        self.queues.wake(EPOCH_S + self.now)
        return list(self.queues.ready(EPOCH_S + self.now, **options))

    def start(self, *step_ids: str) -> list[AnyEvent]:
        """Start steps as the runner does: only ready ones, in their order."""
        events = []
        for step_id in step_ids:
            assert self.ready()[0] == step_id
            events += self.do(StartAttempt(step_id, EPOCH_S + self.now))
        return events

    def ask(self, *step_ids: str) -> None:
        """Start steps and send a call for each."""
        for step_id in step_ids:
            self.start(step_id)
            self.send(step_id)

    def send(self, step_id: str) -> None:
        """Send a call of a running step."""
        target = self.state.target_of(step_id)
        assert target is not None
        attempt = self.state.steps[step_id].attempts
        self.do(
            RecordCall(
                requested(step_id, attempt, provider=target.provider, model=target.model),
                EPOCH_S + self.now,
            )
        )

    def answer(self, step_id: str, *, ends: bool = True) -> list[AnyEvent]:
        """Receive the reply to the step's call; with `ends`, the step succeeds."""
        attempt = self.state.steps[step_id].attempts
        events = self.do(RecordCall(responded(step_id, attempt), EPOCH_S + self.now))
        return events + (self.finish(step_id) if ends else [])

    def fail(
        self, step_id: str, kind: FailureKind = "timeout", *, wait_s: float = 0.0, **fields: Any
    ) -> list[AnyEvent]:
        """Fail the step's call and its attempt."""
        attempt = self.state.steps[step_id].attempts
        call = call_failed(step_id, attempt, kind=kind, **fields)
        events = self.do(RecordCall(call, EPOCH_S + self.now))
        return events + self.finish(step_id, Failed(kind, "too late", 1.0), wait_s=wait_s)

    def finish(
        self, step_id: str, outcome: Succeeded | Failed = OK, *, wait_s: float = 0.0
    ) -> list[AnyEvent]:
        """End the step's attempt."""
        attempt = self.state.steps[step_id].attempts
        now = EPOCH_S + self.now
        return self.do(FinishAttempt(step_id, attempt, outcome, now=now, wait_s=wait_s))

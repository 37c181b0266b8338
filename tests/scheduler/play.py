"""A job played by hand: commands to `decide`, its events folded at once, in time that the test sets."""

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
    """A job that has been started. Times are seconds after the beginning."""

    def __init__(self, definition: JobDef) -> None:
        self.state = running(definition)
        self.queues = WorkQueues(self.state)
        self.now = 0.0

    def fold(self, *events: AnyEvent) -> None:
        """Take these events as committed."""
        for recorded in record(events, after=self.state.version, seconds=self.now):
            evolve(self.state, recorded)

    def do(self, command: Command) -> list[AnyEvent]:
        """What the command leads to, folded."""
        events = decide(self.state, command)
        self.fold(*events)
        return events

    def ready(self, **options: Any) -> list[str]:
        """The steps that may start now."""
        self.queues.wake(EPOCH_S + self.now)
        return list(self.queues.ready(EPOCH_S + self.now, **options))

    def start(self, *step_ids: str) -> list[AnyEvent]:
        """Start steps, as the loop does: only what is ready, in its order."""
        events = []
        for step_id in step_ids:
            assert self.ready()[0] == step_id
            events += self.do(StartAttempt(step_id, EPOCH_S + self.now))
        return events

    def ask(self, *step_ids: str) -> None:
        """Start steps, and have each send a call."""
        for step_id in step_ids:
            self.start(step_id)
            self.send(step_id)

    def send(self, step_id: str) -> None:
        """A call of a step that runs is on its way."""
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
        """The step's call is answered, and with it the step, if it `ends`."""
        attempt = self.state.steps[step_id].attempts
        events = self.do(RecordCall(responded(step_id, attempt), EPOCH_S + self.now))
        return events + (self.finish(step_id) if ends else [])

    def fail(
        self, step_id: str, kind: FailureKind = "timeout", *, wait_s: float = 0.0, **fields: Any
    ) -> list[AnyEvent]:
        """The step's call fails, and with it its attempt."""
        attempt = self.state.steps[step_id].attempts
        call = call_failed(step_id, attempt, kind=kind, **fields)
        events = self.do(RecordCall(call, EPOCH_S + self.now))
        return events + self.finish(step_id, Failed(kind, "too late", 1.0), wait_s=wait_s)

    def finish(
        self, step_id: str, outcome: Succeeded | Failed = OK, *, wait_s: float = 0.0
    ) -> list[AnyEvent]:
        """The step's attempt ends."""
        attempt = self.state.steps[step_id].attempts
        now = EPOCH_S + self.now
        return self.do(FinishAttempt(step_id, attempt, outcome, now=now, wait_s=wait_s))

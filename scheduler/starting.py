"""The starts of one job's steps: those that are ready, those that are due, and the values of some.

A step that only computes a value (`is_immediate` in `ledger/kinds.py`) has no effect that could
come before its event: it needs no task, and starts and ends within one turn of the runner. When
a turn ends, and what it commits, is left to `runner.py`; which steps are ready is left to
`core/fold/queues.py`.
"""

from __future__ import annotations

from orc.scheduler.attempt import evaluate_value
from orc.scheduler.attempt_context import AttemptContext
from orc.scheduler.branching import MAY_START, BranchEvaluator
from orc.scheduler.clock import Clock
from orc.scheduler.core.commands import StartAttempt
from orc.scheduler.core.fold.queues import WorkQueues
from orc.scheduler.core.fold.work import metered_provider
from orc.scheduler.guard import guarded_events
from orc.scheduler.local_room import LocalRoom
from orc.scheduler.rates import Rates
from orc.scheduler.result_key import ResultReuse
from orc.scheduler.turn import Message, Turn


class StepStarter:
    """Starts the steps of one job within turns. It waits for nothing."""

    def __init__(
        self,
        context: AttemptContext,
        queues: WorkQueues,
        branches: BranchEvaluator,
        results: ResultReuse,
        *,
        clock: Clock,
        rates: Rates,
        local_room: LocalRoom,
    ) -> None:
        self._context = context
        self._state = context.state
        self._queues = queues
        self._branches = branches
        self._results = results
        self._clock = clock
        self._rates = rates
        self._local_room = local_room

    def start_ready(self, now: float, turn: Turn) -> bool:
        """Start the ready steps; whether one of them ended at once and left its place to others."""
        has_room = False
        turn.has_more |= turn.holds_values
        ready = self._queues.ready(
            now,
            room=self._rates.room,
            takes=self._local_room.take,
            with_values=not turn.holds_values,
        )
        for step_id in list(ready):
            command = self._results.first_command(step_id, now)
            events, are_fit = guarded_events(self._state, command, self._context.mask)
            turn.fold(self._state, events)
            if are_fit and isinstance(command, StartAttempt):
                self._rates.reserve(metered_provider(self._state, step_id), step_id)
                turn.started.append(step_id)
            else:
                has_room = turn.has_more = True
                self._local_room.release(step_id)
        return has_room

    def take_due(self, messages: list[Message]) -> bool:
        """Evaluate the due steps; all blobs that they read are committed.

        Appends their commands to `messages`. Returns whether any step was due.
        """
        due = self._queues.take_due()
        for step_id in due:
            found = self._branches.evaluate(step_id)
            if found is MAY_START:
                self._queues.add_ready(step_id)
            elif found is not None:
                messages.append(found)
        return bool(due)

    def starts_values_only(self, turn: Turn) -> bool:
        """Whether all steps that the turn has started only compute values."""
        return all(self._is_immediate(step_id) for step_id in turn.started)

    def take_values(self, turn: Turn) -> list[Message]:
        """Take the steps that only compute values out of the turn, and compute them."""
        steps = [step_id for step_id in turn.started if self._is_immediate(step_id)]
        if steps:
            turn.started = [step_id for step_id in turn.started if not self._is_immediate(step_id)]
        return [self._value(step_id) for step_id in steps]

    def _is_immediate(self, step_id: str) -> bool:
        return self._state.graph.steps[step_id].facts.is_immediate

    def _value(self, step_id: str) -> Message:
        finished = evaluate_value(self._context, step_id)
        return finished.message(step_id, self._state.steps[step_id].attempts, self._clock.now())

"""The attempts of one job that run in this process, and those that executors perform elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from orc.ledger import failpoints
from orc.scheduler.attempt import Finished, perform_attempt, with_log
from orc.scheduler.attempt_context import AttemptContext
from orc.scheduler.batches.room import BatchRoom
from orc.scheduler.clock import Clock
from orc.scheduler.core.commands import Failed
from orc.scheduler.core.rules.placing import queued_because
from orc.scheduler.effects.deadlines import cut_at
from orc.scheduler.executors.contract import Placement, Superseded, Ticket
from orc.scheduler.guard import failure_of_attempt
from orc.scheduler.local_room import LocalRoom
from orc.scheduler.rates import Rates
from orc.scheduler.stopping import Stop, cut_short_outcome
from orc.scheduler.turn import Message

if TYPE_CHECKING:
    from orc.scheduler.executors.remote import RemoteExecutor


class RunningAttempts:
    """Starts attempts as tasks, and sends their ends to the runner."""

    def __init__(
        self,
        job_id: str,
        context: AttemptContext,
        *,
        clock: Clock,
        rates: Rates,
        local_room: LocalRoom,
        send: trio.MemorySendChannel[Message],
        remotes: Sequence[RemoteExecutor],
        batches: BatchRoom,
    ) -> None:
        self._job_id = job_id
        self._context = context
        self._state = context.state
        self._clock = clock
        self._rates = rates
        self._local_room = local_room
        self._send = send
        self._remotes = remotes
        self._batches = batches
        self._scopes: dict[str, trio.CancelScope] = {}
        self._given_up: set[str] = set()
        self._stop: Stop | None = None

    def start(
        self, step_id: str, nursery: trio.Nursery, *, placed: Placement | None = None
    ) -> None:
        """Start the step's current attempt; `placed` is where an earlier owner placed it."""
        self._scopes[step_id] = trio.CancelScope()
        if self._stop is not None and not self._is_kept(step_id, self._stop):
            self._scopes[step_id].cancel()
        nursery.start_soon(self._attempt, step_id, placed)

    def stop(self, stop: Stop | None) -> None:
        """Cut all attempts short, also later ones; with None, later ones run.

        A stop signal leaves attempts on other machines running.
        """
        self._stop = stop
        if stop is None:
            return
        if stop.leaves_remote:
            for executor in self._remotes:
                executor.detach()
        if stop.reason == "cancel":
            self._batches.cancel()
        for step_id, scope in self._scopes.items():
            if not self._is_kept(step_id, stop):
                scope.cancel()

    def cut(self, step_id: str) -> None:
        """Cut the attempt short after all, since its batch does not end in time."""
        if step_id in self._scopes:
            self._scopes[step_id].cancel()

    def _is_kept(self, step_id: str, stop: Stop) -> bool:
        """Whether the attempt goes on, since its batch is ended at the server: it may be answered."""
        return stop.reason == "cancel" and self._batches.keeps(step_id)

    def give_up(self, step_id: str) -> None:
        """End an attempt whose end is recorded already."""
        if step_id in self._scopes:
            self._given_up.add(step_id)
            self._scopes[step_id].cancel()

    def missing(self, step_id: str) -> str:
        """What no worker has that the step needs, if it is queued; empty if nothing is known."""
        step = self._state.graph.steps[step_id]
        state = self._state.steps[step_id]
        if state.placement is not None:
            return ""
        for executor in self._remotes:
            if executor.name == step.executor:
                return executor.missing(step.resources_of(state.attempts), step.labels)
        return ""

    def end_message(self, step_id: str, finished: Finished) -> Message:
        """The message to the runner that the step's current attempt has ended."""
        attempt = self._state.steps[step_id].attempts
        committed = trio.Event() if self._remotes else None
        return finished.message(step_id, attempt, self._clock.now(), committed)

    async def _attempt(self, step_id: str, placed: Placement | None) -> None:
        started = trio.current_time()
        finished: Finished | None = None
        try:
            with self._scopes[step_id] as scope:
                finished = await self._in_time(step_id, started, placed)
        except Exception as error:
            # Raised while the attempt was cancelled.
            duration_s = round(trio.current_time() - started, 6)
            finished = Finished(failure_of_attempt(error, duration_s, self._context.mask))
        del self._scopes[step_id]
        self._rates.release(step_id)
        self._local_room.release(step_id)
        if step_id in self._given_up:
            self._given_up.discard(step_id)
            return
        if finished is None:
            assert scope.cancelled_caught
            assert self._stop is not None
            is_batched = self._state.steps[step_id].batched is not None
            is_elsewhere = self._state.graph.steps[step_id].is_remote or is_batched
            if self._stop.leaves_remote and is_elsewhere:
                # It stays open: the next owner finds it.
                return
            finished = self._cut_short(step_id, started, self._stop)
        ticket = Ticket(self._job_id, step_id, self._state.steps[step_id].attempts)
        message = self.end_message(step_id, finished)
        if self._state.graph.steps[step_id].is_remote:
            failpoints.hit("ended.before_commit")
        # `send_nowait` is no checkpoint: the outcome cannot be lost to a cancellation.
        self._send.send_nowait(message)
        if message.committed is not None:
            await message.committed.wait()
            for executor in self._remotes:
                await executor.forget(ticket)

    async def _in_time(
        self, step_id: str, started: float, placed: Placement | None
    ) -> Finished | None:
        """The end of the attempt, or that the step's total_timeout cut it short."""
        finished: Finished | None = None
        deadline_at = self._state.steps[step_id].deadline_at
        deadline = math.inf if deadline_at is None else self._clock.deadline(deadline_at)
        with cut_at(deadline) as total:
            finished = await self._perform(step_id, placed, total.disarm)
        if finished is None and total.is_over:
            finished = self._cut_short(step_id, started, None)
        return finished

    async def _perform(
        self, step_id: str, placed: Placement | None, on_work_done: Callable[[], None]
    ) -> Finished | None:
        try:
            return await perform_attempt(self._context, step_id, placed, on_work_done=on_work_done)
        except Superseded:
            if step_id in self._given_up:
                return None
            raise

    def _cut_short(self, step_id: str, started: float, stop: Stop | None) -> Finished:
        duration_s = round(trio.current_time() - started, 6)
        outcome = cut_short_outcome(self._state, step_id, stop, duration_s)
        if isinstance(outcome, Failed):
            because = queued_because(self.missing(step_id))
            outcome = replace(outcome, message=f"{outcome.message}{because}")
        finished = Finished(outcome)
        attempt = self._state.steps[step_id].attempts
        return with_log(self._context.workspace, step_id, attempt, finished)

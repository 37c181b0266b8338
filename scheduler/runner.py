"""The loop that runs one job: it takes commands, commits events, and starts effects.

The runner is the only writer of its job's stream. In each turn it handles all waiting commands,
decides, and commits all events at once. Effects start only after the commit. During a turn the
state contains events that are not committed yet; if the commit fails, the runner stops and the
state is discarded. Locking the job is left to the caller, starting steps to `starting.py`, running
an attempt to `attempt.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Literal

import trio
from msgspec.structs import replace

from orc.ledger import JobId, Ledger, Recorded, failpoints
from orc.ledger.codec import mask_event
from orc.ledger.events import AnyEvent
from orc.ledger.kinds import JOB_AT_REST, JOB_ENDED
from orc.ledger.secrets.masking import Mask
from orc.providers import Provider
from orc.scheduler.attempt_context import BuildProvider, build_context
from orc.scheduler.batches.room import BatchRoom
from orc.scheduler.branching import BranchEvaluator
from orc.scheduler.budget_gate import BudgetGate, PriceCall, unknown_price
from orc.scheduler.call_journal import CallJournal
from orc.scheduler.clock import Clock
from orc.scheduler.core.batch_commands import LeaveBatches
from orc.scheduler.core.commands import (
    CancelJob,
    Command,
    DecideApproval,
    Failed,
    FinishAttempt,
    InterruptJob,
    PauseJob,
    RecordCall,
    Settle,
    TimeOutJob,
)
from orc.scheduler.core.fold.batches import open_batched
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.placing import open_remote
from orc.scheduler.core.fold.queues import WorkQueues
from orc.scheduler.core.hook_commands import StartHook
from orc.scheduler.core.placing_commands import ExpireQueued
from orc.scheduler.core.rules.decide import decide
from orc.scheduler.effects.calls import OnDelta
from orc.scheduler.effects.contract import ReplyCache
from orc.scheduler.effects.deadlines import Look
from orc.scheduler.effects.groups import GRACE_S, ProcessGroups
from orc.scheduler.folders.workspace import Workspace, sweep_attempts
from orc.scheduler.guard import guarded_events, with_safe_message
from orc.scheduler.local_room import LocalRoom
from orc.scheduler.rates import Rates, SharedLimits, slots_of
from orc.scheduler.result_key import ResultCache, ResultReuse
from orc.scheduler.retry import with_wait
from orc.scheduler.running import RunningAttempts
from orc.scheduler.signals import poll_signals, unread_decisions
from orc.scheduler.starting import StepStarter
from orc.scheduler.stopping import OpenStops, Stop, StopCommand, stops_by_signals, watch_stops
from orc.scheduler.turn import Message, Turn

if TYPE_CHECKING:
    from orc.scheduler.executors.remote import RemoteExecutor

YIELD_S = 0.005
TURN_S = 0.005
"""How long a turn goes on with the dependents of values that it has computed."""
ROUNDS_MAX = 100
"""How often it does so."""
FORGET_S = 5.0
"""How long the end of a job waits for executors to drop what they keep of it."""

Observer = Callable[[Sequence[Recorded]], None]


class Runner:
    """Runs one job until it ends or is stopped. The caller must hold the job's lock."""

    def __init__(
        self,
        *,
        job_id: JobId,
        state: JobState,
        ledger: Ledger,
        workspace: Workspace,
        providers: MutableMapping[str, Provider],
        environment: Mapping[str, str],
        clock: Clock | None = None,
        observer: Observer | None = None,
        on_delta: OnDelta | None = None,
        cache: ReplyCache | None = None,
        price: PriceCall = unknown_price,
        results: ResultCache | None = None,
        build_late: BuildProvider | None = None,
        executors: Sequence[RemoteExecutor] = (),
        local_amounts: Mapping[str, float] | None = None,
        grace_s: float = GRACE_S,
        keeps_work: Literal["failed", "always"] | None = None,
        mask: Mask,
        shared: SharedLimits | None = None,
        open_stops: OpenStops = stops_by_signals,
        waits_for_batches: bool = True,
        turn_s: float = TURN_S,
    ) -> None:
        self._job_id = job_id
        self._mask = mask
        self._state = state
        self._ledger = ledger
        self._clock = clock or Clock()
        self._observer = observer or (lambda recorded: None)
        self._groups = ProcessGroups(grace_s=grace_s)
        # Each attempt has at most one message in it; the executors set how many run at once.
        # None is no message: it wakes the loop.
        self._send, self._receive = trio.open_memory_channel[Message | None](math.inf)
        self._budgets = BudgetGate(state, price)
        self._rates = Rates(
            state.definition.rate, slots_of(state.definition), shared, on_room=self._look_again
        )
        self._batches = BatchRoom(
            job_id, state, self._send, budgets=self._budgets, clock=self._clock,
            is_idle=lambda: self._is_waiting, wake=self._look_again,
            cut=lambda step_id: self._running.cut(step_id),
            find_provider=lambda target: self._context.provider_of(target),
            waits=waits_for_batches,
        )  # fmt: skip
        self._context = build_context(
            job_id, state, ledger, workspace, providers, environment, executors, self._groups,
            self._send, mask, self._batches,
            journal=CallJournal(state, self._send, budgets=self._budgets, rates=self._rates),
            on_delta=on_delta or (lambda step, text: None), cache=cache,
            keeps_work=keeps_work or state.definition.keep_work, build_late=build_late,
        )  # fmt: skip
        self._queues = WorkQueues(state)
        renderer = self._context.renderer
        reuse = ResultReuse(state, renderer, results, renderer.of)
        self._open_stops = open_stops
        self._is_waiting = False
        self._remotes = executors
        self._local_room = LocalRoom(state, local_amounts or {})
        self._running = RunningAttempts(
            job_id,
            self._context,
            clock=self._clock,
            rates=self._rates,
            local_room=self._local_room,
            send=self._send,
            remotes=executors,
            batches=self._batches,
        )
        self._starter = StepStarter(
            self._context,
            self._queues,
            BranchEvaluator(state, renderer, self._clock, reuse),
            reuse,
            clock=self._clock,
            rates=self._rates,
            local_room=self._local_room,
        )
        self._stop: Stop | None = None
        self._advanced_at = 0.0
        self._deadline = math.inf
        self._look = Look()
        self._turn_s = turn_s

    async def run(self, *opening: Command) -> JobState:
        """Run the job, beginning with StartJob or ResumeJob, until it ends or stops.

        A CancelJob after it ends what other machines still run, and starts nothing.
        Raises LedgerError when appending to the ledger fails; the job can then be resumed.
        """
        # The attempts that were cut off when the last owner died.
        sweep_attempts(self._context.workspace.folder, self._state)
        try:
            async with trio.open_nursery() as nursery:
                # Before the first event, so that from then on a stop signal stops the job cleanly.
                await nursery.start(watch_stops, self._open_stops, self._send)
                for executor in self._remotes:
                    await nursery.start(executor.run)
                nursery.start_soon(
                    poll_signals, self._ledger, self._job_id, self._state, self._send, self._mask
                )
                await nursery.start(self._batches.run)
                try:
                    await self._loop(nursery, opening)
                finally:
                    self._context.placing.close()
                with trio.move_on_after(FORGET_S):
                    await self._batches.forget_ended()
                    for executor in self._remotes:
                        await executor.forget_ended()
                        if self._state.status in JOB_ENDED:
                            await executor.end_job(self._job_id)
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await self._context.workers.aclose()
            self._groups.close()
            is_kept = self._context.keeps_work == "always"
            self._context.workspace.clear(ended=self._state.status == "succeeded" and not is_kept)
            self._rates.close()
        return self._state

    async def _loop(self, nursery: trio.Nursery, opening: Sequence[Command]) -> None:
        yielded = trio.current_time()
        messages = [Message(command) for command in opening]
        left = [(step_id, placed) for step_id, _, placed in open_remote(self._state)]
        left += [(step_id, None) for step_id in open_batched(self._state)]
        while True:
            turn = Turn(self._job_id, self._clock.recorded_at())
            self._take_turn(messages, turn)
            self._commit(turn)
            if self._state.status in JOB_AT_REST:
                return
            for step_id, placed in left:
                # Its command, or its batch, may have gone on without an owner.
                self._running.start(step_id, nursery, placed=placed)
            left = []
            if self._deadline == math.inf and self._state.timeout_s is not None:
                left_s = max(0.0, self._state.timeout_s - self._state.owned_s)
                self._deadline = trio.current_time() + left_s
            messages = self._starter.take_values(turn)
            for step_id in turn.started:
                self._running.start(step_id, nursery)
            has_more = turn.is_cut or self._take_due(messages) or turn.has_more
            if not messages and not has_more:
                messages = await self._wait()
            elif trio.current_time() - yielded >= YIELD_S:
                # Steps that run without a task must not starve the tasks of other steps.
                await trio.lowlevel.checkpoint()
                messages += self._receive_waiting()
                yielded = trio.current_time()
            if self._stop is None and self._is_late and not self._look.is_on:
                messages.append(Message(TimeOutJob()))

    def _take_turn(self, messages: list[Message], turn: Turn) -> None:
        """Handle the messages, and start what may start.

        Values are computed within the turn, and their dependents started, for a short time, while
        nothing else waits for the commit. Those that have started end in this commit, too, so that
        their rows are written once.
        """
        ends = min(trio.current_time() + self._turn_s, self._deadline)
        rounds = 0
        while True:
            for message in messages:
                self._handle(message, turn)
            turn.has_more = False
            is_over = rounds == ROUNDS_MAX or trio.current_time() >= ends
            # A value that is computed after this commit ends in the next one, so it starts there.
            turn.holds_values = rounds > 0 and (is_over or turn.is_awaited)
            if turn.holds_values and self._queues.has_values_only(self._clock.now()):
                turn.is_cut = True
                return
            self._advance(turn)
            if self._state.status in JOB_AT_REST:
                self._apply(decide(self._state, StartHook()), turn)
                return
            rounds += 1
            if self._stop is not None or turn.is_awaited or turn.holds_values:
                return
            if not self._starter.starts_values_only(turn):
                return
            messages = self._starter.take_values(turn)
            # Dependents of steps that ended at once may be ready now.
            if not (self._take_due(messages) or messages or turn.has_more):
                return

    def _handle(self, message: Message, turn: Turn) -> None:
        command = with_safe_message(message.command, self._mask)
        # The most frequent command comes first.
        match command:
            case FinishAttempt():
                if isinstance(command.outcome, Failed):
                    command = with_wait(self._state, self._clock, command, command.outcome)
            case CancelJob() | InterruptJob() | TimeOutJob():
                self._begin_stop(command)
                return
            case RecordCall():
                command = replace(command, now=self._clock.now())
        blobs = message.blobs
        events, are_fit = guarded_events(self._state, command, self._mask, blobs=blobs)
        if are_fit:
            turn.blobs += blobs
        turn.stored += message.stored
        if message.committed is not None:
            turn.journalled.append(message.committed)
        turn.fold(self._state, events)

    def _advance(self, turn: Turn) -> None:
        """Apply what the state requires without a command: expiries, starts, the job's end."""
        state = self._state
        if state.status in JOB_AT_REST:
            # The first command has stopped the job: it left the queue instead of being resumed.
            return
        if self._stop is not None:
            left = state.running_elsewhere if self._stop.leaves_remote else 0
            if state.running_total == left and state.status == "running":
                # If the last step ended in the same turn, the job ends normally.
                self._apply(decide(state, Settle()), turn)
                if state.status == "running":
                    self._apply(decide(state, self._stop.command), turn)
                if state.is_cancelling:
                    # Steps with always() or cancelled() still run.
                    self._stop = None
                    self._running.stop(None)
            return
        now = self._advanced_at = self._clock.now()
        overdue = [] if self._look.is_on else self._queues.take_overdue(now)
        if any(isinstance(late, DecideApproval) for late in overdue):
            # A decision that nobody has read yet was made in time.
            for decision in unread_decisions(self._ledger, self._job_id, state):
                self._apply(decide(state, decision), turn)
        for late in overdue:
            if not isinstance(late, ExpireQueued):
                self._apply(decide(state, late), turn)
                continue
            events = decide(state, replace(late, missing=self._running.missing(late.step)))
            self._apply(events, turn)
            if events:
                # Its attempt still waits for a worker.
                self._running.give_up(late.step)
        self._queues.wake(now)
        while not self._is_late and self._starter.start_ready(now, turn):
            pass
        self._apply(decide(state, Settle()), turn)
        if state.status == "running" and self._queues.waits_for_person_only():
            self._apply(decide(state, PauseJob()), turn)
        elif state.status == "running" and self._batches.wants_leave:
            self._apply(decide(state, LeaveBatches()), turn)

    def _take_due(self, messages: list[Message]) -> bool:
        return self._stop is None and self._starter.take_due(messages)

    def _apply(self, events: list[AnyEvent], turn: Turn) -> None:
        # Mask before the fold, so that the state equals that of a resumed job.
        turn.fold(self._state, [mask_event(self._mask, event) for event in events])

    def _commit(self, turn: Turn) -> None:
        if turn.recorded:
            self._ledger.append(turn.recorded, blobs=turn.blobs, stored=turn.stored)
            self._observer(turn.recorded)
        for committed in turn.journalled:
            committed.set()
        if turn.recorded:
            failpoints.hit("ledger.after_apply")

    def _begin_stop(self, command: StopCommand) -> None:
        if self._stop is not None:
            # A second stop request skips the grace period.
            self._groups.skip_grace()
            for executor in self._remotes:
                executor.skip_grace()
            return
        if isinstance(command, InterruptJob) and not command.queue and self._batches.leave():
            return
        self._stop = Stop.by(command)
        self._running.stop(self._stop)

    @property
    def _is_late(self) -> bool:
        """Whether the job's time is over."""
        return trio.current_time() >= self._deadline

    async def _wait(self) -> list[Message]:
        """Wait for messages. Returns an empty list when a step is due or the job's time is over."""
        wake = float("inf")
        if self._stop is None:
            # Relative to the last `_advance`: steps that became due since then wake the loop at once.
            due = self._queues.next_due(self._advanced_at)
            wake = self._rates.next_at()
            wake = wake if due is None else min(wake, self._clock.deadline(due))
            wake = self._look.put_off(min(wake, self._deadline))
        messages: list[Message | None] = []
        self._is_waiting = True
        # A scope costs as much as the rest, and most jobs wait for no time.
        with nullcontext() if wake == math.inf else trio.move_on_at(wake):
            messages.append(await self._receive.receive())
        self._is_waiting = False
        self._look.woke(wake)
        return [*filter(None, messages), *self._receive_waiting()]

    def _look_again(self) -> None:
        """Look for steps that may start, since another job of this process has made room."""
        if self._is_waiting:
            self._is_waiting = False
            self._send.send_nowait(None)

    def _receive_waiting(self) -> list[Message]:
        messages = []
        try:
            while True:
                messages.append(self._receive.receive_nowait())
        except trio.WouldBlock:
            return [*filter(None, messages)]

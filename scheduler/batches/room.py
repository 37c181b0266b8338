"""Where calls gather for batches. A batch is made when no other call can join it soon.

The calls to one model of one server gather until a limit of a batch is reached, or until every
attempt that could bring another call waits here too, and nothing else of the job runs that could let
such an attempt start; for that, the calls wait a minute at most. Then the batch and its requests are
committed, and only then submitted. `follower.py` follows it from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import trio
from msgspec import Struct
from msgspec.structs import replace

from orc.ledger.definition import TargetDef
from orc.ledger.events import BatchSubmitted, LlmRequested
from orc.providers import Provider, Request
from orc.providers.batches.contract import BatchApi, Batching
from orc.scheduler.batches.follower import Follower
from orc.scheduler.batches.members import Gathering, Member
from orc.scheduler.budget_gate import BudgetGate, OverBudget
from orc.scheduler.clock import Clock
from orc.scheduler.core.batch_commands import SubmitBatch
from orc.scheduler.core.commands import Command
from orc.scheduler.core.fold.batches import is_batched, wait_only_for_batches
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.effects.contract import BatchedResult, Batcher
from orc.scheduler.turn import Message

QUIET_S = 0.25
"""How long nothing may have changed before a batch is made."""
GATHER_MAX_S = 60.0
"""How long calls wait for the rest of the job, if that could bring others."""
LOOK_S = 1.0
"""How often it is looked whether calls that gather need to wait longer."""

Key = tuple[str, str]
"""The server and the model: a batch has requests for one model."""


class BatchRoom:
    """The batches of one running job. `send` leads to the runner, `wake` lets it look again.

    `is_idle` says whether the runner waits for news, and `cut` ends a step's attempt. Without `waits`,
    the job is left as soon as servers are all that it waits for.
    """

    def __init__(
        self,
        job_id: str,
        state: JobState,
        send: trio.MemorySendChannel[Message],
        *,
        budgets: BudgetGate,
        clock: Clock,
        is_idle: Callable[[], bool],
        wake: Callable[[], None],
        cut: Callable[[str], None],
        find_provider: Callable[[TargetDef], Provider],
        waits: bool = True,
    ) -> None:
        self._job_id = job_id
        self._state = state
        self._send = send
        self._budgets = budgets
        self._clock = clock
        self._is_idle = is_idle
        self._wake = wake
        self._cut = cut
        self._find_provider = find_provider
        self._waits = waits
        self._gatherings: dict[Key, Gathering] = {}
        self._followers: dict[int, Follower] = {}
        self._changed = trio.Event()
        self._is_leaving = False
        self._is_cancelling = False
        self._nursery: trio.Nursery | None = None

    def batcher(self, provider: Provider, server: str, step_id: str) -> Batcher | None:
        """What submits the step's calls in batches; None if they are sent one by one."""
        if not is_batched(self._state, step_id):
            return None
        assert isinstance(provider, Batching), "the definition was checked"
        return _StepBatcher(self, provider.open_batches(), server)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Make batches and follow them, until this is cancelled.

        `task_status` reports when attempts may begin to wait here.
        """
        async with trio.open_nursery() as self._nursery:
            self._follow_abandoned(self._nursery)
            task_status.started()
            while True:
                changed = self._changed
                pause_s = await self._make_batches()
                with trio.move_on_after(pause_s):
                    await changed.wait()

    @property
    def wants_leave(self) -> bool:
        """Whether the run is to end now, since servers are all that the job waits for."""
        if not wait_only_for_batches(self._state) or any(self._gatherings.values()):
            return False
        waited_for = [one for one in self._followers.values() if one.batch.waiting]
        if self._is_leaving or any(one.is_stuck for one in waited_for):
            return True
        is_known = all(
            number in self._followers and self._followers[number].is_looked_at
            for number, batch in self._state.batches.items()
            if batch.waiting
        )
        has_results = any(
            batch.ended is not None and batch.waiting for batch in self._state.batches.values()
        )
        return is_known and not has_results and not self._waits

    def leave(self) -> bool:
        """Leave the job if servers are all that it waits for; whether it will be left."""
        self._is_leaving = wait_only_for_batches(self._state)
        return self._is_leaving

    def keeps(self, step_id: str) -> bool:
        """Whether a cancelled job waits for the step's batch to end, to keep what was answered."""
        call = self._state.steps[step_id].batched
        return call is not None and self._state.batches[call.batch].server_id is not None

    def cancel(self) -> None:
        """Have the servers end the batches."""
        self._is_cancelling = True
        for follower in self._followers.values():
            follower.cancel()

    async def forget_ended(self) -> None:
        """Have the servers end the batches for which nothing waits any more."""
        for follower in list(self._followers.values()):
            if not follower.batch.waiting:
                await follower.cancel_at_server()

    async def submit(
        self, api: BatchApi, key: Key, event: LlmRequested, blob: bytes | None, request: Request
    ) -> BatchedResult:
        """See `Batcher.submit`."""
        if self._is_cancelling:
            self._cut(event.step)
            await trio.sleep_forever()
        custom_id = self._custom_id(event)
        entry = api.encode(custom_id, request)
        member = Member(event.step, custom_id, request, event, blob, entry)
        gathering = self._gatherings.setdefault(key, Gathering(api))
        gathering.members[event.step] = member
        try:
            return await self._outcome(member)
        finally:
            # Its attempt may end before it is in a batch.
            if gathering.members.get(event.step) is member:
                del gathering.members[event.step]
                self._look_again()

    async def rejoin(self, api: BatchApi, step_id: str, request: Request) -> BatchedResult:
        """See `Batcher.rejoin`."""
        call = self._state.steps[step_id].batched
        assert call is not None
        batch = self._state.batches[call.batch]
        member = Member(step_id, call.custom_id, request, batch=call.batch)
        member.submitted_at = batch.submitted_at
        follower = self._followers.get(call.batch)
        if follower is None:
            follower = self._follow(call.batch, api)
            assert self._nursery is not None
            self._nursery.start_soon(follower.follow, None)
        follower.join(member)
        return await self._outcome(member)

    async def _outcome(self, member: Member) -> BatchedResult:
        self._look_again()
        await member.done.wait()
        return member.result(self._clock.now())

    async def _make_batches(self) -> float:
        """Make the batches that are due; how long to wait for news."""
        pause_s = float("inf")
        for key, gathering in list(self._gatherings.items()):
            while gathering.members:
                wait_s = self._wait_for(gathering)
                if wait_s > 0:
                    pause_s = min(pause_s, wait_s)
                    break
                if not await self._make_batch(gathering):
                    pause_s = min(pause_s, LOOK_S)
                    break
            if not gathering.members:
                self._gatherings.pop(key, None)
        return pause_s

    def _wait_for(self, gathering: Gathering) -> float:
        """How long the calls wait for others, if nothing changes; 0 if a batch is made now."""
        now = trio.current_time()
        if gathering.is_full:
            return 0.0
        last_at = max(member.joined_at for member in gathering.members.values())
        quiet_s = last_at + QUIET_S - now
        if quiet_s > 0:
            return quiet_s
        gather_s = gathering.first_at + GATHER_MAX_S - now
        if gather_s <= 0 or self._is_quiet():
            return 0.0
        return min(gather_s, LOOK_S)

    def _is_quiet(self) -> bool:
        """Whether no other call can come, unless a batch or a person brings one."""
        state = self._state
        if not self._is_idle():
            return False
        gathered = sum(len(one.members) for one in self._gatherings.values())
        waiting = sum(len(batch.waiting) for batch in state.batches.values())
        return state.running_total == gathered + waiting

    async def _make_batch(self, gathering: Gathering) -> bool:
        """Commit one batch and begin to follow it; whether budgets let any call into it."""
        chosen: list[Member] = []
        steps = self._state.steps
        # In the order of the spec, whatever order their attempts came in.
        order = sorted(gathering.members, key=lambda name: steps[name].index)
        gathering.members = {name: gathering.members[name] for name in order}
        for member in gathering.next_batch():
            assert member.event is not None
            try:
                event = self._budgets.try_admit(member.event)
            except OverBudget as error:
                del gathering.members[member.step]
                member.end(error)
                continue
            if event is not None:
                member.event = event
                chosen.append(member)
        if not chosen:
            return not gathering.members
        number = len(self._state.batches) + 1
        for member in chosen:
            member.batch = number
        await self._commit_batch(number, chosen)
        batch = self._state.batches.get(number)
        for member in chosen:
            # Its attempt may have ended in the meantime.
            if gathering.members.get(member.step) is member:
                del gathering.members[member.step]
        if batch is None:
            return True
        follower = self._follow(number, gathering.api)
        entries = []
        for member in chosen:
            if member.step in batch.waiting:
                member.submitted_at = batch.submitted_at
                follower.join(member)
                entries.append(member.entry)
        assert self._nursery is not None
        self._nursery.start_soon(follower.follow, entries)
        return True

    async def _commit_batch(self, number: int, chosen: list[Member]) -> None:
        events = [member.event for member in chosen if member.event is not None]
        first = events[0]
        submitted = BatchSubmitted(
            batch=number,
            name=f"{self._job_id}-{number}",
            provider=first.provider,
            model=first.model,
            endpoint=first.endpoint,
            requests=len(chosen),
            size_bytes=sum(len(member.entry) for member in chosen),
        )
        requests = tuple(
            replace(event, batch=number, custom_id=member.custom_id)
            for member, event in zip(chosen, events, strict=True)
        )
        blobs = tuple(member.blob for member in chosen if member.blob is not None)
        try:
            await self._commit(SubmitBatch(submitted, requests), blobs)
        finally:
            for member in chosen:
                self._budgets.release(member.step)

    def _follow_abandoned(self, nursery: trio.Nursery) -> None:
        """Follow the batches that are open at servers although nothing waits for them."""
        targets = [target for route in self._state.routes.values() for target in route]
        for number, batch in self._state.batches.items():
            if batch.ended is not None or batch.waiting:
                continue
            for target in targets:
                if (target.provider, target.model) == (batch.provider, batch.model):
                    provider = self._find_provider(target)
                    if isinstance(provider, Batching):
                        follower = self._follow(number, provider.open_batches())
                        nursery.start_soon(follower.follow, None)
                    break

    def _follow(self, number: int, api: BatchApi) -> Follower:
        follower = self._followers[number] = Follower(
            self._state.batches[number],
            api,
            commit=self._commit,
            changed=self._look_again,
            cut=self._cut,
            known_ids=lambda: {
                batch.server_id for batch in self._state.batches.values() if batch.server_id
            },
        )
        if self._is_cancelling:
            follower.cancel()
        return follower

    async def _commit(self, command: Command, blobs: tuple[bytes, ...] = ()) -> None:
        committed = trio.Event()
        await self._send.send(Message(command, blobs, committed=committed))
        await committed.wait()

    def _look_again(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
        if self.wants_leave:
            self._wake()

    def _custom_id(self, event: LlmRequested) -> str:
        named = f"{event.step}\0{event.attempt}\0{event.call}".encode()
        return f"{self._job_id}-{hashlib.sha256(named).hexdigest()[:32]}"


class _StepBatcher(Struct, frozen=True):
    """The calls of one step; see `Batcher`."""

    room: BatchRoom
    api: BatchApi
    server: str

    async def submit(
        self, event: LlmRequested, blob: bytes | None, request: Request
    ) -> BatchedResult:
        """See `Batcher.submit`."""
        key = (self.server, request.model)
        return await self.room.submit(self.api, key, event, blob, request)

    async def rejoin(self, step: str, request: Request) -> BatchedResult:
        """See `Batcher.rejoin`."""
        return await self.room.rejoin(self.api, step, request)

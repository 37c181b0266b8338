"""Simulated workers: a table of copies with the agent's rules, commands, and a lease.

They run in virtual time. The journal says which commands really ran, and when.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

import trio

from orc.scheduler.executors.contract import Lost, Superseded, Ticket, Work, WorkOutcome
from orc.scheduler.executors.errors import EngineProblem

ASK_AGAIN_S = 5.0


@dataclass
class Ran:
    """A command that ran: which copy it belonged to, and from when to when."""

    ticket: Ticket
    run: str
    worker: str
    start: float
    end: float | None = None


@dataclass
class Journal:
    """All commands that ran."""

    commands: list[Ran] = field(default_factory=list)

    def of_step(self, step: str) -> list[Ran]:
        return [ran for ran in self.commands if ran.ticket.step == step]

    def running(self) -> list[Ran]:
        return [ran for ran in self.commands if ran.end is None]


@dataclass
class FakeCopy:
    """A copy in a worker's table."""

    ticket: Ticket
    run: str
    work: Work
    began: float
    state: Literal["asking", "running", "ended", "refused"] = "asking"
    outcome: WorkOutcome | None = None
    """None for a command that was ended with the lease, or has not ended."""
    stop: trio.Event = field(default_factory=trio.Event)
    kill: trio.Event = field(default_factory=trio.Event)
    done: trio.Event = field(default_factory=trio.Event)
    grace_s: float = 0.0


class FakeWorker:
    """One worker process. `has_left` and the like are changed by the engine and by faults."""

    def __init__(
        self,
        name: str,
        *,
        lease_s: float,
        journal: Journal,
        rng: random.Random,
        nursery: trio.Nursery,
    ) -> None:
        self.name = name
        self.host = f"host-{name}"
        self.copies: dict[tuple[str, str], FakeCopy] = {}
        self.is_dead = False
        self.is_cut_off = False
        self.has_left = False
        self.thawed = trio.Event()
        self.thawed.set()
        self._epochs: dict[str, int] = {}
        self._forgotten: set[tuple[str, str]] = set()
        self._lease_s = lease_s
        # A worker may believe for some seconds that it belongs to the engine.
        self._stale_s = rng.uniform(0.0, min(4.0, lease_s / 3))
        self._journal = journal
        self._rng = rng
        self._nursery = nursery
        self._alive_at = trio.current_time()
        nursery.start_soon(self._beat)

    @property
    def is_frozen(self) -> bool:
        return not self.thawed.is_set()

    @property
    def answers(self) -> bool:
        return not (self.is_dead or self.is_frozen or self.is_cut_off)

    def freeze(self) -> None:
        self.thawed = trio.Event()

    def die(self) -> None:
        """SIGKILL: the commands are dead at once."""
        self.is_dead = True
        self.thawed.set()
        for copy in self.copies.values():
            copy.kill.set()

    def add(self, ticket: Ticket, run: str, work: Work) -> FakeCopy | None:
        """Take a copy; None if it is known already."""
        key = (str(ticket), run)
        if self.is_dead or key in self.copies or key in self._forgotten:
            return None
        copy = self.copies[key] = FakeCopy(ticket, run, work, trio.current_time())
        return copy

    def find(self, ticket: Ticket, run: str) -> FakeCopy:
        copy = self.copies.get((str(ticket), run))
        if copy is None:
            raise EngineProblem("unknown", "this worker does not know that copy")
        return copy

    def allow(self, ticket: Ticket, run: str, epoch: int, *, lacks_inputs: bool = False) -> None:
        copy = self.find(ticket, run)
        self.check_epoch(ticket, epoch)
        if copy.state == "asking" and self.is_lease_over:
            self.end_copy(copy, "refused")
        if copy.state == "refused":
            raise EngineProblem("refused", "it was refused")
        if copy.state == "asking":
            if lacks_inputs:
                raise EngineProblem("missing", "contents of inputs are missing")
            copy.state = "running"
            ran = Ran(ticket, run, self.name, trio.current_time())
            self._journal.commands.append(ran)
            self._nursery.start_soon(self._run, copy, ran)

    def refuse(self, ticket: Ticket, run: str, epoch: int) -> None:
        copy = self.find(ticket, run)
        self.check_epoch(ticket, epoch)
        if copy.state not in ("asking", "refused"):
            raise EngineProblem(copy.state, "the copy does not ask any more")
        self.end_copy(copy, "refused")

    def cancel(self, ticket: Ticket, run: str, epoch: int, grace_s: float) -> None:
        copy = self.find(ticket, run)
        self.check_epoch(ticket, epoch)
        if copy.state == "asking":
            self.end_copy(copy, "refused")
        copy.grace_s = grace_s
        copy.stop.set()

    def result(self, ticket: Ticket, run: str) -> WorkOutcome:
        try:
            copy = self.find(ticket, run)
        except EngineProblem as error:
            raise Lost(str(error)) from error
        if copy.outcome is None:
            raise Lost("the lease was over")
        return copy.outcome

    def forget(self, ticket: Ticket, run: str, epoch: int) -> None:
        key = (str(ticket), run)
        if key in self.copies:
            self.check_epoch(ticket, epoch)
        copy = self.copies.get(key)
        if copy is not None and copy.state == "running":
            raise EngineProblem("running", "the copy still runs")
        if copy is not None:
            self.end_copy(copy, copy.state if copy.state == "ended" else "refused")
            del self.copies[key]
        self._forgotten.add(key)

    def check_epoch(self, ticket: Ticket, epoch: int) -> None:
        highest = max(epoch, self._epochs.get(ticket.job_id, epoch))
        self._epochs[ticket.job_id] = highest
        if epoch < highest:
            raise Superseded("a later process owns this job")

    @property
    def is_lease_over(self) -> bool:
        return trio.current_time() >= self._alive_at + self._lease_s

    def end_copy(self, copy: FakeCopy, state: Literal["ended", "refused"]) -> None:
        copy.state = state
        copy.done.set()

    async def _beat(self) -> None:
        """Renew the lease; the reaper ends the commands when it is over, even of a frozen worker."""
        step_s = self._lease_s / 10
        while not self.is_dead:
            now = trio.current_time()
            if self.answers and not self.has_left:
                # After it was frozen for too long, the reaper has killed the commands.
                self._end_late_ones()
                self._alive_at = now
            elif self.is_cut_off and not self.is_frozen and self._stale_s > 0:
                self._stale_s -= step_s
                self._alive_at = now
            else:
                self._end_late_ones()
            await trio.sleep(step_s)

    def _end_late_ones(self) -> None:
        if not self.is_lease_over:
            return
        for copy in list(self.copies.values()):
            copy.kill.set()
            if copy.state == "asking" and not self.is_frozen:
                self.end_copy(copy, "refused")

    async def _run(self, copy: FakeCopy, ran: Ran) -> None:
        duration_s = float(copy.work.argv[0])
        with trio.move_on_after(duration_s):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_when, copy.kill, nursery.cancel_scope)
                nursery.start_soon(_cancel_when, copy.stop, nursery.cancel_scope)
        if copy.stop.is_set() and not copy.kill.is_set():
            with trio.move_on_after(self._rng.uniform(0, copy.grace_s)):
                await copy.kill.wait()
        ran.end = trio.current_time()
        # A frozen agent sees the end later.
        await self.thawed.wait()
        if self.is_dead:
            return
        if copy.stop.is_set():
            copy.outcome = WorkOutcome(signal="SIGTERM")
        elif not copy.kill.is_set():
            copy.outcome = WorkOutcome(exit_code=0, stdout=str(copy.ticket).encode())
        self.end_copy(copy, "ended")


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()

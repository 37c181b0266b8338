"""An executor whose engine runs work on other machines: ask before act, and a lease.

An engine may start a copy of an attempt twice, lose it or forget it. Each copy therefore asks, and
only the one for which `step.placed` was committed is allowed. A copy that was placed counts as lost
only when it is known that no command of it runs: its worker says so, or its lease is over.
`attempt_watch.py` follows a single attempt.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import trio

from orc.scheduler.executors.attempt_news import Counted, GraceSkipped, News
from orc.scheduler.executors.attempt_watch import AttemptWatch
from orc.scheduler.executors.contract import (
    Asked,
    Attempt,
    Engine,
    EngineEvent,
    EngineLost,
    EngineSeen,
    Lost,
    Placement,
    Superseded,
    Ticket,
    Work,
    WorkOutcome,
)
from orc.scheduler.executors.errors import EngineProblem
from orc.scheduler.executors.orders import Orders

if TYPE_CHECKING:
    from orc.scheduler.executors.kept_outcomes import KeptOutcomes

CENSUS_S = 5.0
"""How often the workers are asked what they run, while attempts are open."""


class RemoteExecutor:
    """One engine, for all attempts of one job. `run` must run while attempts are performed.

    `name` is the executor's name in the job, `site_name` that in the site file, if it is another.
    """

    def __init__(
        self,
        name: str,
        engine: Engine,
        *,
        census_s: float = CENSUS_S,
        kept: KeptOutcomes | None = None,
        on_notice: Callable[[str], None] = lambda text: None,
        site_name: str | None = None,
    ) -> None:
        self.name = name
        self.site_name = site_name or name
        self.engine = engine
        self.kept = kept
        """What workers keep where it outlives them; None if they share no folder with this machine."""
        self.engine_id = ""
        """Identifies the engine's process; empty until it was seen."""
        self.skips_grace = False
        self.is_superseded = False
        """Whether another process owns the job. What runs is its, and is neither ended nor refused."""
        self.detaches = False
        """Whether commands go on when their attempts are cancelled here: a later owner adopts them."""
        self._census_s = census_s
        self._open: dict[str, trio.MemorySendChannel[News]] = {}
        self._jobs: dict[str, int] = {}
        self._epochs: dict[str, int] = {}
        self._ended: dict[str, Placement] = {}
        self._refusing: set[tuple[str, str, str]] = set()
        self._final: EngineLost | None = None
        self._wakes = trio.Event()
        # Imported here, since a runner without such executors loads this module, too.
        from orc.scheduler.executors.capacity import Misfits

        self._misfits = Misfits(self.site_name, on_notice)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read the engine's events, and take a census every few seconds, as long as it has events."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._count_often)
            task_status.started()
            async for event in self.engine.events:
                self._take(event, nursery)
            self._take(EngineLost("the connection was closed", final=True), nursery)
            nursery.cancel_scope.cancel()

    async def perform(
        self, attempt: Attempt, work: Work, *, placed: Placement | None = None
    ) -> WorkOutcome:
        """See `Executor.perform`."""
        ticket = attempt.ticket
        self._epochs[ticket.job_id] = attempt.epoch
        with self._listen(ticket) as news, self._misfits.watched(ticket, work):
            watch = AttemptWatch(self, attempt, work, news, placed)
            try:
                outcome = await watch.run()
            except Lost:
                self._note_ended(ticket, watch.placed)
                kept = await watch.fetch_kept_result()
                if kept is None:
                    raise
                return kept
            except Superseded:
                self.is_superseded = True
                raise
            self._note_ended(ticket, watch.placed)
            return outcome

    async def forget(self, ticket: Ticket) -> None:
        """See `Executor.forget`."""
        placed = self._ended.pop(str(ticket), None)
        if placed is not None:
            await self._orders(ticket).forget(ticket, placed.run, placed.worker)
            if self.kept is not None:
                await self.kept.forget(ticket, placed)

    def missing(self, resources: Mapping[str, float], labels: tuple[str, ...]) -> str:
        """Why no worker can ever perform such a step; empty if one can, or nothing is known."""
        return self._misfits.missing(resources, labels)

    def skip_grace(self) -> None:
        """End all grace periods of commands that are being ended, and have none from now on."""
        self.skips_grace = True
        for send in self._open.values():
            send.send_nowait(GraceSkipped())

    def detach(self) -> None:
        """From now on, leave commands running when their attempts are cancelled here."""
        self.detaches = True

    async def forget_ended(self) -> None:
        """Drop what is kept of all attempts that have ended here."""
        for name in list(self._ended):
            ticket = Ticket.parse(name)
            if ticket is not None:
                await self.forget(ticket)

    async def end_job(self, job_id: str) -> None:
        """Drop what is kept of a job that has ended, where workers share a folder with this machine."""
        if self.kept is not None:
            await self.kept.end_job(job_id)

    def new_run(self) -> str:
        """The name of a new submission."""
        return secrets.token_hex(4)

    def count_soon(self) -> None:
        """Take a census at once."""
        self._wakes.set()

    def _orders(self, ticket: Ticket) -> Orders:
        return Orders(self.engine, self._epochs[ticket.job_id])

    def _note_ended(self, ticket: Ticket, placed: Placement | None) -> None:
        if placed is not None:
            self._ended[str(ticket)] = placed

    @contextmanager
    def _listen(self, ticket: Ticket) -> Iterator[trio.MemoryReceiveChannel[News]]:
        assert str(ticket) not in self._open, "an attempt is performed once at a time"
        send, receive = trio.open_memory_channel[News](float("inf"))
        self._open[str(ticket)] = send
        self._jobs[ticket.job_id] = self._jobs.get(ticket.job_id, 0) + 1
        if self._final is not None:
            send.send_nowait(self._final)
        try:
            yield receive
        finally:
            del self._open[str(ticket)]
            self._jobs[ticket.job_id] -= 1
            if not self._jobs[ticket.job_id]:
                del self._jobs[ticket.job_id]

    def _take(self, event: EngineEvent, nursery: trio.Nursery) -> None:
        if isinstance(event, EngineSeen):
            self.engine_id, self._final = event.engine, None
            self._misfits.set_capacity(event.capacity)
            self.count_soon()
        if isinstance(event, EngineLost) and event.final:
            self._final = event
        ticket = getattr(event, "ticket", None)
        if ticket is None:
            for send in self._open.values():
                send.send_nowait(event)
        elif ticket in self._open:
            self._open[ticket].send_nowait(event)
        elif (
            isinstance(event, Asked)
            and not self.is_superseded
            and event.ticket.partition("/")[0] in self._epochs
        ):
            # A copy that nobody waits for: an earlier submission, or the engine's own. The call may
            # take long, and other attempts must hear of their events meanwhile.
            copy = (event.ticket, event.run, event.worker)
            if copy not in self._refusing:
                self._refusing.add(copy)
                nursery.start_soon(self._refuse, event, copy)

    async def _refuse(self, event: Asked, copy: tuple[str, str, str]) -> None:
        ticket = Ticket.parse(event.ticket)
        try:
            if ticket is not None:
                await self._orders(ticket).refuse(ticket, event.run, event.worker)
        except Superseded:
            self.is_superseded = True
        finally:
            self._refusing.discard(copy)

    async def _count_often(self) -> None:
        while True:
            with trio.move_on_after(self._census_s):
                await self._wakes.wait()
            self._wakes = trio.Event()
            for job_id in list(self._jobs):
                began = trio.current_time()
                census = None
                with suppress(EngineProblem):
                    census = await self.engine.count(job_id)
                if census is None:
                    continue
                for ticket, send in self._open.items():
                    if ticket.startswith(f"{job_id}/"):
                        send.send_nowait(Counted(census, began))

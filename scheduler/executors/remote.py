"""An executor whose engine runs work on other machines: ask before act, and a lease.

An engine may start a copy of an attempt twice, lose it or forget it. Each copy therefore asks, and
only the one for which `step.placed` was committed is allowed. A copy that was placed counts as lost
only when it is known that no command of it runs: its worker says so, or its lease is over.
`attempt_watch.py` follows a single attempt.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import trio

from orc.scheduler.executors.attempt_watch import AttemptWatch, Counted, News
from orc.scheduler.executors.contract import (
    Asked,
    Attempt,
    Engine,
    EngineEvent,
    EngineSeen,
    Placement,
    Ticket,
    Work,
    WorkOutcome,
)
from orc.scheduler.executors.errors import EngineProblem

CENSUS_S = 5.0
"""How often the workers are asked what they run, while attempts are open."""


class RemoteExecutor:
    """One engine, for all attempts of one job. `run` must run while attempts are performed."""

    def __init__(self, name: str, engine: Engine, *, census_s: float = CENSUS_S) -> None:
        self.name = name
        self.engine = engine
        self.engine_id = ""
        """Identifies the engine's process; empty until it was seen."""
        self.detaches = False
        self._census_s = census_s
        self._open: dict[str, trio.MemorySendChannel[News]] = {}
        self._jobs: dict[str, int] = {}
        self._ended: dict[str, Placement] = {}
        self._wakes = trio.Event()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read the engine's events, and take a census every few seconds. Never returns by itself."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._count_often)
            task_status.started()
            async for event in self.engine.events:
                await self._take(event)
            nursery.cancel_scope.cancel()

    async def perform(
        self, attempt: Attempt, work: Work, *, placed: Placement | None = None
    ) -> WorkOutcome:
        """See `Executor.perform`."""
        ticket = attempt.ticket
        with self._listen(ticket) as news:
            watch = AttemptWatch(self, attempt, work, news, placed)
            outcome = await watch.run()
            if watch.placed is not None:
                self._ended[str(ticket)] = watch.placed
            return outcome

    async def forget(self, ticket: Ticket) -> None:
        """See `Executor.forget`."""
        placed = self._ended.pop(str(ticket), None)
        if placed is not None:
            await self.engine.forget(ticket, placed.run, placed.worker)

    async def forget_ended(self) -> None:
        """Drop what is kept of all attempts that have ended here."""
        for name in list(self._ended):
            placed = self._ended.pop(name)
            job_id, _, rest = name.partition("/")
            step, _, number = rest.rpartition("/")
            await self.engine.forget(Ticket(job_id, step, int(number)), placed.run, placed.worker)

    def skip_grace(self) -> None:
        """End cancelled commands at once."""

    def detach(self) -> None:
        """From now on, leave commands running when their attempts are cancelled here."""
        self.detaches = True

    def new_run(self) -> str:
        """The name of a new submission."""
        return secrets.token_hex(4)

    def count_soon(self) -> None:
        """Take a census at once."""
        self._wakes.set()

    @contextmanager
    def _listen(self, ticket: Ticket) -> Iterator[trio.MemoryReceiveChannel[News]]:
        send, receive = trio.open_memory_channel[News](float("inf"))
        self._open[str(ticket)] = send
        self._jobs[ticket.job_id] = self._jobs.get(ticket.job_id, 0) + 1
        try:
            yield receive
        finally:
            del self._open[str(ticket)]
            self._jobs[ticket.job_id] -= 1
            if not self._jobs[ticket.job_id]:
                del self._jobs[ticket.job_id]

    async def _take(self, event: EngineEvent) -> None:
        if isinstance(event, EngineSeen):
            self.engine_id = event.engine
            self.count_soon()
        ticket = getattr(event, "ticket", None)
        if ticket is None:
            for send in self._open.values():
                send.send_nowait(event)
        elif ticket in self._open:
            self._open[ticket].send_nowait(event)
        elif isinstance(event, Asked):
            # A copy that nobody waits for: an earlier submission, or the engine's own.
            await self._refuse(event)

    async def _refuse(self, event: Asked) -> None:
        parts = event.ticket.rsplit("/", 1)
        job_id, _, step = parts[0].partition("/")
        if len(parts) == 2 and parts[1].isdecimal():
            with suppress(EngineProblem):
                await self.engine.refuse(
                    Ticket(job_id, step, int(parts[1])), event.run, event.worker
                )

    async def _count_often(self) -> None:
        while True:
            with trio.move_on_after(self._census_s):
                await self._wakes.wait()
            self._wakes = trio.Event()
            for job_id in list(self._jobs):
                census = await self.engine.count(job_id)
                if census is None:
                    continue
                for ticket, send in self._open.items():
                    if ticket.startswith(f"{job_id}/"):
                        send.send_nowait(Counted(census))

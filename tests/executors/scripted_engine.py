"""An engine that does what a test says: its census, its errors and its events; and an attempt on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from orc.scheduler.executors.contract import (
    PROTOCOL,
    Asked,
    Census,
    Copy,
    EngineEvent,
    EngineSeen,
    Inputs,
    Lost,
    Place,
    Placement,
    Superseded,
    Ticket,
    Work,
    WorkFile,
    WorkOutcome,
)
from orc.scheduler.executors.remote import RemoteExecutor

JOB = "20261130-120000-abcdef"
LEASE_S = 10.0
WORK = Work("command", argv=("true",), grace_s=2.0)
PLACED = Placement("aaaaaaaa", "cluster", "engine-1", "w1", "host-1")


class ScriptedEngine:
    """`contract.Engine`. A call is noted; then an error that waits for its name is raised."""

    def __init__(self) -> None:
        self.lease_s = LEASE_S
        self.calls: list[tuple[object, ...]] = []
        self.errors: dict[str, list[Exception]] = {}
        self.epochs: list[int] = []
        """Those of orders to refuse and to end a copy."""
        self.copies: list[Copy] = []
        self.answered = {"w1", "w2"}
        self.silent: set[str] = set()
        self.has_engine = True
        self.census_takes_s = 0.0
        self.outcome: WorkOutcome | Exception = WorkOutcome(exit_code=0, stdout=b"result")
        self._send, self.events = trio.open_memory_channel[EngineEvent](float("inf"))

    def say(self, event: EngineEvent) -> None:
        self._send.send_nowait(event)

    def close(self) -> None:
        self._send.close()

    def called(self, name: str) -> list[list[Any]]:
        """The arguments of each call with this name."""
        return [arguments for operation, *arguments in self.calls if operation == name]

    def set_copy(
        self, state: str, *, run: str = PLACED.run, worker: str = "w1", n: int = 1
    ) -> None:
        """What a census says of one copy."""
        ticket = str(Ticket(JOB, "step", n))
        self.copies = [
            copy
            for copy in self.copies
            if (copy.ticket, copy.run, copy.worker) != (ticket, run, worker)
        ]
        if state != "nothing":
            self.copies.append(Copy(ticket, run, worker, state))  # type: ignore[arg-type]

    async def submit(self, ticket: Ticket, run: str, work: Work, attempt: Inputs) -> None:
        await self._call("submit", ticket, run)

    async def withdraw(self, ticket: Ticket, run: str) -> None:
        await self._call("withdraw", ticket, run)

    async def allow(
        self, ticket: Ticket, run: str, worker: str, *, epoch: int, secrets: Mapping[str, str]
    ) -> None:
        await self._call("allow", ticket, run, worker, epoch)

    async def refuse(self, ticket: Ticket, run: str, worker: str, *, epoch: int) -> None:
        self.epochs.append(epoch)
        await self._call("refuse", ticket, run, worker)

    async def cancel(
        self, ticket: Ticket, run: str, worker: str, *, epoch: int, grace_s: float
    ) -> None:
        self.epochs.append(epoch)
        await self._call("cancel", ticket, run, worker, grace_s)

    async def count(self, job_id: str) -> Census | None:
        answered = frozenset(self.answered - self.silent)
        census = Census(tuple(self.copies), answered, frozenset(self.silent))
        if self.census_takes_s:
            await trio.sleep(self.census_takes_s)
        await self._call("count", job_id)
        return census if self.has_engine else None

    async def fetch(self, ticket: Ticket, run: str, worker: str, folder: Path) -> WorkOutcome:
        await self._call("fetch", ticket, run, worker)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    async def forget(self, ticket: Ticket, run: str, worker: str, *, epoch: int) -> None:
        await self._call("forget", ticket, run, worker)

    async def _call(self, name: str, *arguments: object) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append((name, *arguments))
        if self.errors.get(name):
            raise self.errors[name].pop(0)


@dataclass
class Performed:
    """An attempt that is performed: what it committed, and how it ended."""

    engine: ScriptedEngine
    executor: RemoteExecutor
    ticket: Ticket
    places: Mapping[Place, str]
    epoch: int = 3
    log_path: str = "unused"
    secrets: Mapping[str, str] = field(default_factory=dict)
    commits: list[tuple[str, ...]] = field(default_factory=list)
    shown: list[bytes] = field(default_factory=list)
    logs: list[bytes] = field(default_factory=list)
    outcome: WorkOutcome | None = None
    lost: str | None = None
    is_superseded: bool = False
    ended: trio.Event = field(default_factory=trio.Event)
    began: float = 0.0
    ended_after: float = 0.0
    """The seconds from the start to the end."""
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    async def place(self, placement: Placement) -> None:
        await trio.lowlevel.checkpoint()
        if self.is_superseded:
            raise Superseded("a later process owns this job")
        assert placement.executor == "cluster"
        self.commits.append(("placed", placement.run, placement.worker, placement.host))
        self.engine.calls.append(("placed", placement.run))

    async def unplace(self, run: str, reason: str) -> None:
        await trio.lowlevel.checkpoint()
        self.commits.append(("unplaced", run, reason))

    async def reattach(self, run: str) -> None:
        await trio.lowlevel.checkpoint()
        self.commits.append(("reattached", run))

    def take_log(self, pieces: Iterable[bytes]) -> None:
        self.logs.append(b"".join(pieces))

    def printed(self, offset: int, content: bytes) -> None:
        self.shown.append(content)

    def read_input(self, file: WorkFile) -> Path:
        raise NotImplementedError

    @property
    def run(self) -> str:
        """The last submission."""
        return str(self.engine.called("submit")[-1][1])

    def ask(self, worker: str = "w1", *, run: str | None = None, protocol: int = PROTOCOL) -> None:
        """A copy asks."""
        number = worker.removeprefix("w")
        run = self.run if run is None else run
        self.engine.say(Asked(str(self.ticket), run, worker, f"host-{number}", protocol))

    async def perform(self, placed: Placement | None, work: Work) -> None:
        self.began = trio.current_time()
        with self.scope, suppress(Superseded):
            try:
                self.outcome = await self.executor.perform(self, work, placed=placed)
            except Lost as lost:
                self.lost = str(lost)
        self.ended_after = trio.current_time() - self.began
        self.ended.set()

    async def settle(self) -> None:
        """Let all tasks go on as far as they can without time."""
        await trio.testing.wait_all_tasks_blocked()


@asynccontextmanager
async def performing(
    folder: Path,
    engine: ScriptedEngine,
    *,
    placed: Placement | None = None,
    attempt: int = 1,
    step: str = "step",
    work: Work = WORK,
    executor: RemoteExecutor | None = None,
    is_superseded: bool = False,
) -> AsyncIterator[Performed]:
    """An attempt on a scripted engine, which has been seen."""
    own = executor is None
    executor = executor or RemoteExecutor("cluster", engine)
    places: Mapping[Place, str] = {
        "work": str(folder / f"work-{attempt}"),
        "artifacts": str(folder / f"artifacts-{attempt}"),
    }
    one = Performed(engine, executor, Ticket(JOB, step, attempt), places)
    one.is_superseded = is_superseded
    async with trio.open_nursery() as nursery:
        if own:
            await nursery.start(executor.run)
            engine.say(EngineSeen("engine-1", {}))
            await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(one.perform, placed, work)
        await trio.testing.wait_all_tasks_blocked()
        yield one
        nursery.cancel_scope.cancel()

"""A deterministic engine in virtual time, with faults from a seed.

It does all that an engine may do: it starts copies twice, loses workers, events and calls, delivers
them late, twice and in another order, and forgets. `FakeCluster` is the engine with its workers;
`FakeEngine` is a driver's connection to it, which dies with its coordinator.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import trio
from msgspec.structs import replace

from orc.scheduler.executors.contract import (
    PROTOCOL,
    Asked,
    Census,
    Copy,
    Dropped,
    Ended,
    EngineEvent,
    EngineLost,
    EngineSeen,
    Gone,
    Inputs,
    Lost,
    Printed,
    Superseded,
    Ticket,
    Work,
    WorkOutcome,
)
from orc.scheduler.executors.errors import EngineProblem, EngineUnreachable, WorkerLeft
from tests.executors.fake_worker import ASK_AGAIN_S, FakeCopy, FakeWorker, Journal

CALL_S = 15.0
CENSUS_S = 3.0
_T = TypeVar("_T")


class Died(Exception):
    """The coordinator's process was killed: nothing of it acts any more."""


@dataclass(frozen=True)
class Chances:
    """How often something goes wrong with an event or a call."""

    event_lost: float = 0.0
    event_twice: float = 0.0
    event_late: float = 0.0
    call_lost: float = 0.0
    reply_lost: float = 0.0
    call_late: float = 0.0
    silent: float = 0.0
    rerun: float = 0.0
    missing: float = 0.0
    latency_s: float = 0.05


NONE = Chances()
MANY = Chances(0.15, 0.1, 0.15, 0.05, 0.05, 0.04, 0.1, 0.1, 0.05, 0.3)


class FakeCluster:
    """An engine and its workers. Used inside `async with trio.open_nursery()`."""

    def __init__(
        self, nursery: trio.Nursery, rng: random.Random, *, lease_s: float, chances: Chances = NONE
    ) -> None:
        self.rng = rng
        self.lease_s = lease_s
        self.chances = chances
        self.journal = Journal()
        self.workers: dict[str, FakeWorker] = {}
        self.engine_id = "engine-1"
        self.is_down = False
        """Whether no driver reaches the scheduler."""
        self.connections: list[FakeEngine] = []
        self._nursery = nursery
        self._held: dict[tuple[str, str], tuple[Ticket, Work]] = {}
        self._withdrawn: set[tuple[str, str]] = set()
        self._started = 0

    def connect(self) -> FakeEngine:
        """A driver's connection."""
        engine = FakeEngine(self)
        self.connections.append(engine)
        engine.put(self._seen())
        return engine

    def start_worker(self) -> FakeWorker:
        self._started += 1
        worker = FakeWorker(
            f"w{self._started}",
            lease_s=self.lease_s,
            journal=self.journal,
            rng=self.rng,
            nursery=self._nursery,
        )
        self.workers[worker.name] = worker
        self.say(self._seen())
        return worker

    def kill(self, worker: FakeWorker) -> None:
        """The worker and its commands are dead; the engine starts its tasks elsewhere or drops them."""
        worker.die()
        self._leave(worker, drops=self.rng.random() < 0.5)

    def retire(self, worker: FakeWorker) -> None:
        """The engine gives the worker up in mid-task, and starts its tasks elsewhere at once."""
        self._leave(worker, drops=False)

    def partition(self, worker: FakeWorker, *, noticed_after_s: float) -> None:
        worker.is_cut_off = True
        self._nursery.start_soon(self._leave_later, worker, noticed_after_s)

    def restart_scheduler(self) -> None:
        """Another scheduler at the same address; the workers of the first one leave for good."""
        self.engine_id = f"engine-{int(self.engine_id.rpartition('-')[2]) + 1}"
        for worker in list(self.workers.values()):
            self._leave(worker, drops=None)
        held, self._held = self._held, {}
        for (ticket, run), _ in held.items():
            self.say(Dropped(ticket, run, "", "the cluster has another scheduler"))
        self.say(self._seen())

    def lose_drivers(self, *, final: bool = False) -> None:
        self.is_down = True
        for engine in self.connections:
            engine.put(EngineLost("the scheduler does not answer", final))

    def reconnect_drivers(self) -> None:
        self.is_down = False
        self.say(self._seen())

    def forget_waiting(self) -> None:
        """Lose a task that no worker has begun, without a word."""
        for key in list(self._held):
            if not any(key in worker.copies for worker in self.workers.values()):
                del self._held[key]
                return

    def run_again(self) -> None:
        """Start a copy of some task on another worker, beside the first."""
        held = [key for key in self._held if self._holders(key)]
        if held:
            self._give(self.rng.choice(held), besides=True)

    def submit(self, ticket: Ticket, run: str, work: Work) -> None:
        key = (str(ticket), run)
        if key not in self._held and key not in self._withdrawn:
            self._held[key] = (ticket, work)
            self._nursery.start_soon(self._schedule, key)

    def withdraw(self, ticket: Ticket, run: str) -> None:
        key = (str(ticket), run)
        self._withdrawn.add(key)
        if not self._holders(key):
            self._held.pop(key, None)

    def say(self, event: EngineEvent) -> None:
        """Send an event to the drivers; it may be lost, late or repeated."""
        if self.is_down and not isinstance(event, EngineLost):
            return
        for engine in self.connections:
            if self.happens(self.chances.event_lost) and not isinstance(event, EngineSeen):
                continue
            for _ in range(2 if self.happens(self.chances.event_twice) else 1):
                delay_s = 0.0
                if self.happens(self.chances.event_late):
                    delay_s = self.rng.uniform(0.1, 20.0)
                if delay_s:
                    self._nursery.start_soon(self._say_later, engine, event, delay_s)
                else:
                    engine.put(event)

    async def call(
        self, worker: str, action: Callable[[FakeWorker], _T], *, is_safe: bool = False
    ) -> _T:
        """A call to the agent of a worker: it may be lost, arrive late, or lose its reply."""
        done = trio.Event()
        results: list[_T] = []
        errors: list[Exception] = []

        async def deliver(delay_s: float) -> None:
            await trio.sleep(delay_s)
            target = self.workers.get(worker)
            if target is None:
                errors.append(WorkerLeft("gone", "the worker has left"))
            else:
                # A call to a frozen process waits there.
                await target.thawed.wait()
                if target.is_dead or target.is_cut_off:
                    return
                try:
                    results.append(action(target))
                except (EngineProblem, Superseded, Lost) as error:
                    errors.append(error)
            done.set()

        if self.is_down:
            raise EngineUnreachable("unreachable", "the engine does not answer")
        delay_s = self.rng.uniform(0, self.chances.latency_s)
        if self.happens(self.chances.call_late) and not is_safe:
            delay_s = self.rng.uniform(CALL_S, 4 * CALL_S)
        if not self.happens(self.chances.call_lost):
            self._nursery.start_soon(deliver, delay_s)
        with trio.move_on_after(CALL_S):
            await done.wait()
            if self.happens(self.chances.reply_lost):
                await trio.sleep(CALL_S)
            if errors:
                raise errors[0]
            return results[0]
        raise EngineUnreachable("timeout", "the engine has not answered in time")

    async def count(self, job_id: str) -> Census | None:
        """A census: each worker is asked at a moment of its own, and a silent one delays it."""
        if self.is_down:
            return None
        workers = list(self.workers.values())
        copies: list[Copy] = []
        silent: set[str] = set()
        for worker in workers:
            await trio.sleep(self.rng.uniform(0, self.chances.latency_s))
            if not worker.answers or self.happens(self.chances.silent):
                silent.add(worker.name)
                continue
            copies += [
                Copy(str(copy.ticket), copy.run, worker.name, copy.state)
                for copy in worker.copies.values()
                if copy.ticket.job_id == job_id
            ]
        if silent:
            await trio.sleep(CENSUS_S)
        if self.is_down:
            return None
        return Census(
            tuple(copies),
            frozenset(worker.name for worker in workers) - silent,
            frozenset(silent),
        )

    def happens(self, chance: float) -> bool:
        """Whether something with this chance happens now."""
        return chance > 0 and self.rng.random() < chance

    def _seen(self) -> EngineSeen:
        return EngineSeen(self.engine_id, {name: {"SLOTS": 4.0} for name in self.workers})

    def _holders(self, key: tuple[str, str]) -> list[FakeWorker]:
        return [worker for worker in self.workers.values() if key in worker.copies]

    async def _schedule(self, key: tuple[str, str]) -> None:
        await trio.sleep(self.rng.uniform(0, 4 * self.chances.latency_s))
        while key in self._held and not self._give(key):  # noqa: ASYNC110  # as engines do
            await trio.sleep(1.0)
        if self.happens(self.chances.rerun):
            await trio.sleep(self.rng.uniform(0, 10))
            self._give(key, besides=True)

    def _give(self, key: tuple[str, str], *, besides: bool = False) -> bool:
        """Start a copy on a worker of the engine's choice; whether there is one."""
        if key not in self._held:
            return False
        ticket, work = self._held[key]
        fit = [
            worker
            for worker in self.workers.values()
            if not worker.has_left and not (besides and key in worker.copies)
        ]
        if not fit:
            return False
        worker = self.rng.choice(fit)
        copy = worker.add(ticket, key[1], work)
        if copy is not None:
            self._nursery.start_soon(self._follow, worker, copy)
        return True

    async def _follow(self, worker: FakeWorker, copy: FakeCopy) -> None:
        """Ask for a copy until it may start, and say how it ended."""
        key = (str(copy.ticket), copy.run)
        while copy.state == "asking" and not worker.is_dead:
            if worker.answers:
                if key in self._withdrawn:
                    worker.end_copy(copy, "refused")
                    break
                self.say(Asked(*key, worker.name, worker.host, PROTOCOL))
            with trio.move_on_after(ASK_AGAIN_S):
                await copy.done.wait()
        if copy.state == "running":
            self.say(Printed(*key, worker.name, 0, b"."))
        while not worker.is_dead and not copy.done.is_set():
            with trio.move_on_after(1.0):
                await copy.done.wait()
        if worker.is_dead or not worker.answers or worker.has_left:
            return
        self._held.pop(key, None)
        if copy.state == "ended":
            if copy.outcome is None:
                self.say(Dropped(*key, worker.name, "the lease was over"))
            else:
                self.say(Ended(*key, worker.name, replace(copy.outcome)))

    def _leave(self, worker: FakeWorker, *, drops: bool | None) -> None:
        """The engine has no such worker any more. `drops` is None if it has none of its tasks."""
        if worker.has_left:
            return
        worker.has_left = True
        self.workers.pop(worker.name, None)
        self.say(Gone(worker.name))
        self.say(self._seen())
        for key in list(worker.copies) if drops is not None else ():
            if key not in self._held or self._holders(key):
                continue
            if drops:
                del self._held[key]
                self.say(Dropped(*key, "", "KilledWorker"))
            else:
                self._nursery.start_soon(self._schedule, key)

    async def _leave_later(self, worker: FakeWorker, delay_s: float) -> None:
        await trio.sleep(delay_s)
        self._leave(worker, drops=False)

    async def _say_later(self, engine: FakeEngine, event: EngineEvent, delay_s: float) -> None:
        await trio.sleep(delay_s)
        if not self.is_down:
            engine.put(event)


class FakeEngine:
    """`contract.Engine` for one coordinator. After `die`, each call raises Died."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self.lease_s = cluster.lease_s
        self.is_dead = False
        self.calls: list[str] = []
        """The operations that were asked for, with ticket, run and worker."""
        self._wakes: trio.Event | None = None
        self._send, self.events = trio.open_memory_channel[EngineEvent](float("inf"))

    def die(self) -> None:
        """The coordinator is killed: no call of it is made any more."""
        self.is_dead = True
        self._cluster.connections.remove(self)
        self.wake()
        self._send.close()

    def pause(self) -> None:
        """The coordinator's process is stopped: it neither calls nor hears."""
        self._wakes = trio.Event()

    def wake(self) -> None:
        if self._wakes is not None:
            self._wakes.set()

    def put(self, event: EngineEvent) -> None:
        if not self.is_dead:
            self._send.send_nowait(event)

    async def submit(self, ticket: Ticket, run: str, work: Work, attempt: Inputs) -> None:
        await self.gate(f"submit {ticket} {run}")
        if self._cluster.is_down:
            raise EngineUnreachable("unreachable", "the engine does not answer")
        self._cluster.submit(ticket, run, work)

    async def withdraw(self, ticket: Ticket, run: str) -> None:
        await self.gate(f"withdraw {ticket} {run}")
        self._cluster.withdraw(ticket, run)

    async def allow(
        self, ticket: Ticket, run: str, worker: str, *, epoch: int, secrets: Mapping[str, str]
    ) -> None:
        await self.gate(f"allow {ticket} {run} {worker}")
        lacks = self._cluster.happens(self._cluster.chances.missing)
        await self._cluster.call(
            worker, lambda one: one.allow(ticket, run, epoch, lacks_inputs=lacks)
        )

    async def refuse(self, ticket: Ticket, run: str, worker: str, *, epoch: int) -> None:
        await self.gate(f"refuse {ticket} {run} {worker}")
        await self._cluster.call(worker, lambda one: one.refuse(ticket, run, epoch))

    async def cancel(
        self, ticket: Ticket, run: str, worker: str, *, epoch: int, grace_s: float
    ) -> None:
        await self.gate(f"cancel {ticket} {run} {worker} {grace_s:g}")
        await self._cluster.call(worker, lambda one: one.cancel(ticket, run, epoch, grace_s))

    async def count(self, job_id: str) -> Census | None:
        await self.gate(f"count {job_id}")
        return await self._cluster.count(job_id)

    async def fetch(self, ticket: Ticket, run: str, worker: str, folder: Path) -> WorkOutcome:
        await self.gate(f"fetch {ticket} {run} {worker}")
        try:
            return await self._cluster.call(worker, lambda one: one.result(ticket, run))
        except WorkerLeft as error:
            raise Lost(str(error)) from error

    async def forget(self, ticket: Ticket, run: str, worker: str, *, epoch: int) -> None:
        await self.gate(f"forget {ticket} {run} {worker}")
        try:
            await self._cluster.call(worker, lambda one: one.forget(ticket, run, epoch))
        except EngineProblem:
            return

    async def gate(self, what: str = "") -> None:
        """Wait while the process is stopped. Raises Died."""
        if self.is_dead:
            raise Died
        await trio.lowlevel.checkpoint()
        while self._wakes is not None and not self._wakes.is_set():
            await self._wakes.wait()
        if self.is_dead:
            raise Died
        if what:
            self.calls.append(what)

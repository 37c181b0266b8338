"""Whole jobs on a fake engine in virtual time, with faults and coordinators that die; and the oracle.

`ORC_SIM_SEED=17` runs one seed and prints what happened.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from orc.scheduler.executors.contract import (
    Lost,
    Place,
    Placement,
    Superseded,
    Ticket,
    Work,
    WorkFile,
    WorkOutcome,
)
from orc.scheduler.executors.lease_wait import MARGIN_S
from orc.scheduler.executors.remote import RemoteExecutor
from tests.executors.fake_engine import MANY, Chances, Died, FakeCluster, FakeEngine
from tests.executors.fake_worker import Journal

JOB = "20261130-120000-abcdef"
LEASE_S = 9.0
GRACE_S = 4.0
QUIET_BOUND_S = 900.0
"""Virtual seconds within which a job must end once nothing goes wrong any more."""
_REAL_LIMIT_S = 60.0
HARMS = (
    "kill", "retire", "freeze", "freeze", "partition", "restart", "drivers", "again", "again",
    "forget",
)  # fmt: skip


@dataclass
class FakeLedger:
    """What was committed: who owns the job, which copies were placed and when, how attempts ended."""

    epoch: int = 0
    history: list[tuple[float, str, str]] = field(default_factory=list)
    placed: dict[str, Placement] = field(default_factory=dict)
    """The open placement of each attempt."""
    placements: dict[tuple[str, str, str], float] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def commit(self, epoch: int, event: str, ticket: Ticket, more: str = "") -> None:
        """Commit an event of the owner with this epoch. Raises Superseded."""
        if epoch < self.epoch:
            raise Superseded("a later process owns this job")
        self.history.append((trio.current_time(), event, f"{ticket} {more}"))

    def end(self, epoch: int, ticket: Ticket, how: str) -> None:
        self.commit(epoch, "end", ticket, how)
        if str(ticket) in self.ends:
            self.problems.append(f"{ticket} ended twice")
        self.ends[str(ticket)] = how
        self.placed.pop(str(ticket), None)


@dataclass
class FakeAttempt:
    """An attempt whose commits go to the fake ledger."""

    ticket: Ticket
    epoch: int
    ledger: FakeLedger
    engine: FakeEngine
    places: Mapping[Place, str]
    log_path: str = "unused"
    secrets: Mapping[str, str] = field(default_factory=dict)
    shown: list[tuple[int, bytes]] = field(default_factory=list)

    async def place(self, placement: Placement) -> None:
        await self._commit("placed", f"{placement.run} {placement.worker}")
        if str(self.ticket) in self.ledger.placed:
            self.ledger.problems.append(f"{self.ticket} was placed twice")
        self.ledger.placed[str(self.ticket)] = placement
        key = (str(self.ticket), placement.run, placement.worker)
        self.ledger.placements[key] = trio.current_time()

    async def unplace(self, run: str, reason: str) -> None:
        await self._commit("unplaced", f"{run} {reason}")
        self.ledger.placed.pop(str(self.ticket))

    async def reattach(self, run: str) -> None:
        await self._commit("reattached", run)

    def take_log(self, pieces: Iterable[bytes]) -> None:
        raise NotImplementedError

    def printed(self, offset: int, content: bytes) -> None:
        self.shown.append((offset, content))

    def read_input(self, file: WorkFile) -> Path:
        raise NotImplementedError

    async def _commit(self, event: str, more: str) -> None:
        # A process that was killed or stopped commits nothing.
        await self.engine.gate()
        self.ledger.commit(self.epoch, event, self.ticket, more)


class Coordinator:
    """One process that owns the job: it performs each step until an attempt of it succeeds."""

    def __init__(self, cluster: FakeCluster, ledger: FakeLedger, folder: Path) -> None:
        ledger.epoch += 1
        self.epoch = ledger.epoch
        self.engine = cluster.connect()
        self.executor = RemoteExecutor("cluster", self.engine)
        self.scope = trio.CancelScope()
        self._ledger = ledger
        self._folder = folder

    def attempt(self, ticket: Ticket) -> FakeAttempt:
        folder = self._folder / f"{ticket.step}-{ticket.attempt}"
        places: Mapping[Place, str] = {"work": str(folder), "artifacts": str(folder)}
        return FakeAttempt(ticket, self.epoch, self._ledger, self.engine, places)

    async def run(self, steps: Mapping[str, float]) -> None:
        """Perform the steps; return when all have ended, or this process is dead or superseded."""
        with self.scope:
            try:
                async with trio.open_nursery() as nursery:
                    await nursery.start(self.executor.run)
                    async with trio.open_nursery() as performing:
                        for step, duration_s in steps.items():
                            performing.start_soon(self._perform, step, duration_s)
                    nursery.cancel_scope.cancel()
            except BaseExceptionGroup as group:
                rest = group.split((Died, Superseded, trio.Cancelled))[1]
                if rest is not None:
                    raise rest from None
        if not self.engine.is_dead:
            self.engine.die()

    def die(self) -> None:
        """SIGKILL: nothing is tidied up."""
        if not self.engine.is_dead:
            self.engine.die()
        self.scope.cancel()

    async def _perform(self, step: str, duration_s: float) -> None:
        work = Work("command", argv=(str(duration_s),), grace_s=GRACE_S)
        numbers = [t.attempt for t in map(Ticket.parse, self._ledger.ends) if t and t.step == step]
        number = max(numbers, default=0)
        if number and self._ledger.ends[str(Ticket(JOB, step, number))] == "exit 0":
            return
        how = ""
        while how != "exit 0":
            number += 1
            attempt = self.attempt(Ticket(JOB, step, number))
            placed = self._ledger.placed.get(str(attempt.ticket))
            try:
                outcome = await self.executor.perform(attempt, work, placed=placed)
                how = how_of(outcome)
            except Lost as lost:
                how = f"lost: {lost}"
            await self.engine.gate()
            self._ledger.end(self.epoch, attempt.ticket, how)
            await self.executor.forget(attempt.ticket)


def how_of(outcome: WorkOutcome) -> str:
    """The end of an attempt in a few words."""
    if outcome.broken is not None:
        return f"{outcome.broken.kind}: {outcome.broken.message}"
    return f"signal {outcome.signal}" if outcome.signal else f"exit {outcome.exit_code}"


def find_problems(ledger: FakeLedger, journal: Journal) -> list[str]:
    """What must never be: the oracle reads the ledger and the journal of commands."""
    problems = list(ledger.problems)
    by_step: dict[str, list[Any]] = {}
    for ran in journal.commands:
        by_step.setdefault(ran.ticket.step, []).append(ran)
        placed_at = ledger.placements.get((str(ran.ticket), ran.run, ran.worker))
        if placed_at is None or placed_at > ran.start:
            problems.append(f"{ran} started without its placement")
    for commands in by_step.values():
        commands.sort(key=lambda ran: ran.start)
        for before, after in pairwise(commands):
            if before.end is None or before.end > after.start:
                problems.append(f"{before} and {after} ran at the same time")
    tickets = [str(ran.ticket) for ran in journal.commands]
    problems += [f"{one} ran twice" for one in set(tickets) if tickets.count(one) > 1]
    for ticket, how in ledger.ends.items():
        if how == "exit 0" and ticket not in tickets:
            problems.append(f"{ticket} has a result and did not run")
    return problems


@dataclass
class World:
    """A cluster, a ledger and coordinators, of one seed."""

    rng: random.Random
    cluster: FakeCluster
    ledger: FakeLedger
    folder: Path
    nursery: trio.Nursery
    said: list[str] = field(default_factory=list)

    def say(self, what: str) -> None:
        self.said.append(f"{trio.current_time():8.2f} {what}")

    async def do_harm(self, until_s: float) -> None:
        """Faults of the engine at random moments; all is mended at the end."""
        cluster, rng = self.cluster, self.rng
        while trio.current_time() < until_s:
            await trio.sleep(rng.expovariate(1 / 12))
            worker = rng.choice(list(cluster.workers.values()) or [cluster.start_worker()])
            what = rng.choice(HARMS)
            self.say(f"{what} {worker.name}")
            match what:
                case "kill":
                    cluster.kill(worker)
                case "retire":
                    cluster.retire(worker)
                case "freeze" if not worker.is_frozen:
                    worker.freeze()
                    self.nursery.start_soon(self._thaw, worker, rng.uniform(0.5, 4 * LEASE_S))
                case "partition":
                    cluster.partition(worker, noticed_after_s=rng.uniform(0.1, 6 * LEASE_S))
                case "restart":
                    cluster.restart_scheduler()
                case "drivers" if not cluster.is_down:
                    cluster.lose_drivers()
                    self.nursery.start_soon(self._reconnect, rng.uniform(0.5, 3 * LEASE_S))
                case "again":
                    cluster.run_again()
                case "forget":
                    cluster.forget_waiting()
            while len(cluster.workers) < 3:
                cluster.start_worker()

    async def _thaw(self, worker: Any, after_s: float) -> None:
        await trio.sleep(after_s)
        worker.thawed.set()

    async def _reconnect(self, after_s: float) -> None:
        await trio.sleep(after_s)
        self.cluster.reconnect_drivers()


async def run_job(world: World, *, harm_s: float, deaths: int) -> None:
    """A job whose coordinators die or are stopped and superseded; the last one must end it."""
    rng, ledger = world.rng, world.ledger
    steps = {f"step{n}": rng.choice([0.1, 2.0, 8.0, 30.0]) for n in range(rng.randint(1, 4))}
    for _ in range(3):
        world.cluster.start_worker()
    world.nursery.start_soon(world.do_harm, harm_s)
    for _ in range(deaths):
        first = Coordinator(world.cluster, ledger, world.folder)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.run, steps)
            await trio.sleep(rng.expovariate(1 / 15))
            if rng.random() < 0.3:
                # It is stopped, a second one takes over, and the first one wakes.
                world.say("the coordinator is stopped")
                first.engine.pause()
                second = Coordinator(world.cluster, ledger, world.folder)
                nursery.start_soon(second.run, steps)
                await trio.sleep(rng.expovariate(1 / 10))
                first.engine.wake()
                await trio.sleep(rng.expovariate(1 / 10))
                second.die()
            world.say("the coordinator is killed")
            first.die()
    last = Coordinator(world.cluster, ledger, world.folder)
    with trio.move_on_at(max(harm_s + 60, trio.current_time()) + QUIET_BOUND_S) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(last.run, steps)
            await trio.sleep_until(harm_s + 60)
            world.cluster.chances = Chances()
    if scope.cancelled_caught:
        ledger.problems.append("the job did not end")
    for step in steps:
        if not any(how == "exit 0" for t, how in ledger.ends.items() if f"/{step}/" in t):
            ledger.problems.append(f"{step} has no result")


@contextmanager
def no_threads() -> Iterator[None]:
    """Functions for threads run at once: virtual time does not wait for threads."""

    async def run_sync(function: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
        return function(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio.to_thread, "run_sync", run_sync)
        yield


def in_virtual_time(main: Callable[[trio.Nursery], Any]) -> None:
    """Run in virtual time, within a limit of real time. `main` gets a nursery, cancelled at its end."""

    async def whole() -> None:
        async with trio.open_nursery() as nursery:
            await main(nursery)
            nursery.cancel_scope.cancel()

    def stop(number: int, frame: Any) -> None:
        raise TimeoutError(f"the run took more than {_REAL_LIMIT_S:g} real seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, _REAL_LIMIT_S)
    try:
        with no_threads():
            trio.run(whole, clock=MockClock(autojump_threshold=0))
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from group
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def scheduled_by(seed: int) -> Iterator[None]:
    """Make trio's scheduling depend on the seed only."""
    core: Any = trio._core._run
    before = core._ALLOW_DETERMINISTIC_SCHEDULING, core._r.getstate()
    core._ALLOW_DETERMINISTIC_SCHEDULING = True
    core._r.seed(seed)
    try:
        yield
    finally:
        core._ALLOW_DETERMINISTIC_SCHEDULING = before[0]
        core._r.setstate(before[1])


def simulate(
    seed: int, folder: Path, *, harm_s: float = 120.0, deaths: int | None = None
) -> tuple[list[str], World]:
    """The problems of one seed, and its world."""
    worlds: list[World] = []

    async def main(nursery: trio.Nursery) -> None:
        rng = random.Random(seed)
        cluster = FakeCluster(nursery, rng, lease_s=LEASE_S, chances=MANY)
        world = World(rng, cluster, FakeLedger(), folder, nursery)
        worlds.append(world)
        await run_job(world, harm_s=harm_s, deaths=rng.randint(0, 4) if deaths is None else deaths)
        # What is left must be dead with the lease.
        await trio.sleep(LEASE_S + MARGIN_S)

    with suppress(Died), scheduled_by(seed), pytest.MonkeyPatch.context() as patch:
        names = random.Random(seed)
        patch.setattr(RemoteExecutor, "new_run", lambda _: f"{names.getrandbits(32):08x}")
        in_virtual_time(main)
    (world,) = worlds
    problems = find_problems(world.ledger, world.cluster.journal)
    problems += [f"{ran} is left" for ran in world.cluster.journal.running()]
    return problems, world


def history_of(world: World) -> str:
    """All that happened, in the order of time."""
    lines = list(world.said)
    lines += [f"{at:8.2f} {event} {what}" for at, event, what in world.ledger.history]
    for ran in world.cluster.journal.commands:
        what = f"{ran.ticket} {ran.run} {ran.worker}"
        lines.append(f"{ran.start:8.2f} command starts {what}")
        if ran.end is not None:
            lines.append(f"{ran.end:8.2f} command ends {what}")
    return "\n".join(sorted(lines))

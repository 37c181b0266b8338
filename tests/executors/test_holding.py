"""What a driver gives to its engine, and to tasks that have performed another copy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

pytest.importorskip("distributed", reason="distributed is not installed")

from orc.scheduler.drivers.dask_cluster import Cluster
from orc.scheduler.drivers.dask_copies import HeldCopy
from orc.scheduler.drivers.dask_holding import Holding

Message = dict[str, Any]


class Future:
    """A task that goes on until the test ends it."""

    def __init__(self) -> None:
        self.status = "pending"
        self.ended = asyncio.Event()

    async def exception(self) -> None:
        await self.ended.wait()

    def end(self) -> None:
        self.status = "finished"
        self.ended.set()


class Engine:
    """A cluster of one worker with two slots, and the client of it."""

    def __init__(self) -> None:
        self.client = self
        self.engine = "engine"
        self.is_up = True
        self.id = "client"
        self.workers = {"w": "tcp://127.0.0.1:1"}
        self.capacity = {"w": {"slots": 2.0, "cpu": 2.0}}
        self.silent: set[str] = set()
        self.takes_offers = True
        self.tasks: dict[str, Future] = {}
        self.offered: list[tuple[str, bytes]] = []
        self.released: list[str] = []

    def takers(self) -> None:
        return None

    def submit(self, function: Any, payload: bytes, *, key: str, **fields: Any) -> Future:
        self.tasks[key] = Future()
        return self.tasks[key]

    async def offer(self, worker: str, slot: str, payload: bytes) -> bool:
        await asyncio.sleep(0)
        self.offered.append((slot, payload))
        return self.takes_offers

    def _send_to_scheduler(self, message: Message) -> None:
        if message["op"] == "client-releases-keys":
            self.released += message["keys"]


class Stand:
    """Copies on that engine."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.said: list[Message] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        self.held = Holding(self._send, self._start)
        self.held.connect(cast(Cluster, self.engine), before="engine")
        self.held.set_capacity(cast(Cluster, self.engine))

    def submit(self, name: str, **needs: float) -> HeldCopy:
        self.held.submit(name, "0123abcd", needs, name.encode())
        copy = self.held.find(name, "0123abcd")
        assert copy is not None
        return copy

    async def end(self, copy: HeldCopy, *, waits: bool) -> None:
        """The copy has run; its task waits for another one, or ends."""
        self.held.asked(copy, "w")
        key = copy.key
        self.held.ended(copy, key if waits else None)
        if not waits:
            self.engine.tasks[key].end()
        await self.settle()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def _send(self, message: Message) -> None:
        self.said.append(message)

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task


@pytest.fixture(autouse=True)
def _without_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orc.scheduler.drivers.dask_holding.fire_and_forget", lambda future: None)


def with_stand(use: Callable[[Stand], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        stand = Stand()
        await use(stand)
        for task in stand.tasks:
            task.cancel()

    asyncio.run(run())


def test_a_task_that_waits_gets_the_next_copy_with_the_same_needs() -> None:
    async def use(stand: Stand) -> None:
        first, other = stand.submit("first"), stand.submit("other", cpu=1)
        stand.submit("other-needs", cpu=2)
        third = stand.submit("third")
        await stand.end(first, waits=True)
        assert stand.engine.offered == [(first.own_key, b"third")]
        assert sorted(stand.engine.tasks) == sorted([first.own_key, other.own_key])
        assert stand.held.waiting == 1
        # Its task has no other name while it performs that copy.
        assert third.key == first.own_key
        await stand.end(third, waits=False)
        assert stand.held.waiting == 1

    with_stand(use)


def test_a_copy_that_comes_a_moment_later_goes_to_the_task_that_waits() -> None:
    async def use(stand: Stand) -> None:
        first = stand.submit("first")
        await stand.end(first, waits=True)
        stand.submit("second")
        await stand.settle()
        assert stand.engine.offered == [(first.own_key, b"second")]
        assert list(stand.engine.tasks) == [first.own_key]

    with_stand(use)


def test_an_offer_that_comes_too_late_goes_to_the_engine() -> None:
    async def use(stand: Stand) -> None:
        stand.engine.takes_offers = False
        first, held = stand.submit("first"), stand.submit("held")
        second = stand.submit("second")
        await stand.end(first, waits=True)
        assert stand.engine.offered == [(first.own_key, b"second")]
        # The task has not ended yet, and takes its room.
        assert stand.held.waiting == 1
        stand.engine.tasks[first.own_key].end()
        await stand.settle()
        assert stand.held.waiting == 0
        assert sorted(stand.engine.tasks) == sorted([first.own_key, held.own_key, second.own_key])

    with_stand(use)


def test_a_task_that_waits_keeps_its_room_until_it_ends() -> None:
    async def use(stand: Stand) -> None:
        first = stand.submit("first", cpu=2)
        await stand.end(first, waits=True)
        stand.submit("second", cpu=1)
        await stand.settle()
        assert (stand.held.waiting, stand.engine.offered) == (1, [])
        stand.engine.tasks[first.own_key].end()
        await stand.settle()
        assert stand.held.waiting == 0

    with_stand(use)


def test_the_task_of_another_copy_is_not_released_when_an_offered_one_is_withdrawn() -> None:
    async def use(stand: Stand) -> None:
        first, second = stand.submit("first"), None
        await stand.end(first, waits=True)
        second = stand.submit("second")
        assert stand.held.withdraw(second.ticket, second.run)
        await stand.settle()
        assert stand.engine.released == []

    with_stand(use)


def test_a_worker_that_leaves_takes_its_tasks_along_and_an_offered_copy_is_dropped() -> None:
    async def use(stand: Stand) -> None:
        waits, runs = stand.submit("waits"), stand.submit("runs")
        await stand.end(waits, waits=True)
        await stand.end(runs, waits=True)
        offered = stand.submit("offered")
        await stand.settle()
        del stand.engine.workers["w"]
        stand.engine.capacity.clear()
        await stand.held.workers_left(cast(Cluster, stand.engine), {"w"})
        # The engine would perform the first copies of these tasks again.
        assert {*stand.engine.released} == {waits.own_key, runs.own_key}
        assert [message["event"] for message in stand.said] == ["gone", "dropped"]
        assert stand.said[1]["ticket"] == offered.ticket
        assert stand.held.find(offered.ticket, offered.run) is None

    with_stand(use)


def test_after_an_outage_an_offered_copy_that_has_not_asked_is_submitted_by_its_own_name() -> None:
    async def use(stand: Stand) -> None:
        first = stand.submit("first")
        await stand.end(first, waits=True)
        second = stand.submit("second")
        await stand.settle()
        stand.held.disconnect()
        stand.held.connect(cast(Cluster, stand.engine), before="engine")
        assert second.key == second.own_key
        assert list(stand.engine.tasks) == [first.own_key, second.own_key]

    with_stand(use)

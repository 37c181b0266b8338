"""The copies of a driver: those that wait here, and those that the engine holds, each in a task.

- A task is `orc.worker.dask_side.perform`, by reference. It starts nothing before it is allowed to.
- The engine keeps a task although this process dies (`fire_and_forget`), and drops it when it has
  ended. A published dataset would stay until somebody removes it.
- The engine gets a task when a worker has room for it now; until then the copy waits here.
- A task that has performed a short copy is a slot that waits for a moment (`orc/worker/dask_slots.py`):
  it gets the next copy with the same needs, and its room.
- `Future.cancel` is not used for a task that may run: the engine counts its worker as free, while
  the command goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from distributed import Future, fire_and_forget
from msgspec import Struct

from orc.scheduler.drivers.dask_cluster import Cluster, engine_name
from orc.scheduler.drivers.dask_copies import HeldCopy, adopt, release
from orc.scheduler.drivers.dask_silence import Avoided, stranded
from orc.scheduler.drivers.lines import Message
from orc.scheduler.drivers.rooms import Rooms
from orc.worker import dask_side

Place = tuple[str, str]


class _Slot(Struct, frozen=True):
    """A task that waits for the next copy."""

    key: str
    worker: str
    needs: Mapping[str, float]
    future: Future


class Holding:
    """The copies. `send` tells orc what happens to them; `start` runs a task of this process."""

    def __init__(
        self,
        send: Callable[[Message], Awaitable[None]],
        start: Callable[[Any], asyncio.Task[Any]],
    ) -> None:
        self._send = send
        self._start = start
        self._cluster: Cluster | None = None
        self._copies: dict[Place, HeldCopy] = {}
        self._queue: dict[Place, HeldCopy] = {}
        self._holders: dict[str, HeldCopy] = {}
        """The copies that the engine holds, by the names of their tasks."""
        self._slots: dict[str, _Slot] = {}
        self._rooms = Rooms()
        self._avoided = Avoided()

    @property
    def waiting(self) -> int:
        """How many copies wait here."""
        return len(self._queue)

    def find(self, ticket: object, run: object) -> HeldCopy | None:
        """A copy by its names."""
        return self._copies.get((str(ticket), str(run)))

    def set_capacity(self, cluster: Cluster) -> None:
        """The workers that there are now."""
        self._rooms.set_capacity(cluster.capacity)

    def submit(self, ticket: str, run: str, needs: Mapping[str, float], payload: bytes) -> None:
        """Take a copy, unless it is here already."""
        place = ticket, run
        if place not in self._copies:
            self._copies[place] = self._queue[place] = HeldCopy(ticket, run, needs, payload)
            self.pump()

    def withdraw(self, ticket: str, run: str) -> bool:
        """Drop a copy that has not asked; whether it is known. If it asks anyway, it is refused."""
        copy = self._copies.get((ticket, run))
        if copy is None:
            return False
        copy.is_withdrawn = True
        self._queue.pop((copy.ticket, copy.run), None)
        if copy.future is None:
            self.finish(copy)
        elif not copy.worker and not copy.is_offered and self._cluster is not None:
            release(self._cluster.client, copy.key)
        return True

    def adopt(self, cluster: Cluster, found: Message) -> None:
        """Count what an earlier driver submitted."""
        place = str(found["ticket"]), str(found["run"])
        if place in self._copies or found["state"] not in ("asking", "running"):
            return
        copy = self._copies[place] = HeldCopy(*place, {}, None, worker=found["worker"])
        copy.key = str(found.get("task") or copy.key)
        self._rooms.move(copy.key, copy.worker, {})
        self._hold(copy, adopt(cluster.client, copy.key))

    def asked(self, copy: HeldCopy, worker: str) -> None:
        """The copy is on this worker."""
        copy.worker, copy.payload = worker, None
        self._rooms.move(copy.key, worker, copy.needs)

    def ended(self, copy: HeldCopy, slot: object) -> None:
        """The copy has ended. `slot` is the name of its task if that waits for the next copy."""
        if slot != copy.key or copy.future is None or self._cluster is None:
            # Its task ends now, and gives its room back.
            return
        self._slots[copy.key] = _Slot(copy.key, copy.worker, copy.needs, copy.future)
        self._leave(copy)
        self.pump()

    def finish(self, copy: HeldCopy) -> None:
        """The engine does not hold the copy any more."""
        if self._holders.get(copy.key) is copy:
            self._rooms.give_back(copy.key)
        self._leave(copy)
        self.pump()

    def forget(self, copy: HeldCopy) -> None:
        """Drop a copy that is neither held nor read from any more."""
        if copy.future is None and copy.reader is None:
            self._copies.pop((copy.ticket, copy.run), None)

    def pump(self) -> None:
        """Give the engine what it has room for, in the order of submission."""
        cluster = self._cluster
        if cluster is None or not self._queue:
            return
        refused: list[Mapping[str, float]] = []
        for place, copy in list(self._queue.items()):
            if copy.needs in refused:
                continue
            slot = self._take_slot(copy.needs)
            if slot is None and not self._rooms.take(copy.key, copy.needs):
                refused.append(copy.needs)
                if not copy.needs:
                    break
                continue
            del self._queue[place]
            if slot is not None:
                self._offer(cluster, copy, slot)
            else:
                self._submit(cluster, copy)

    async def workers_left(self, cluster: Cluster, left: Iterable[str]) -> None:
        """Forget what was on these workers; what they had not taken goes elsewhere."""
        for worker in sorted(left):
            for copy in [one for one in self._copies.values() if one.worker == worker]:
                # The engine would start its task again elsewhere, where it could only be refused.
                release(cluster.client, copy.key)
                self.finish(copy)
            for slot in [one for one in self._slots.values() if one.worker == worker]:
                release(cluster.client, slot.key)
                self._drop_slot(slot)
            await self._send({"event": "gone", "worker": worker})
        alone = stranded(cluster, self._copies.values())
        await self._take_back(alone, "the workers that it was meant for have left")

    async def avoid_silent(self, cluster: Cluster) -> None:
        """Give nothing more to workers that do not answer, and elsewhere what they have not taken."""
        held = await self._avoided.look(cluster, tuple(self._copies.values()))
        self._rooms.close(self._avoided.workers)
        await self._take_back(held, "its worker does not answer")
        self.pump()

    def disconnect(self) -> None:
        """Without a connection, everything waits."""
        self._cluster = None

    def connect(self, cluster: Cluster, *, before: str) -> None:
        """Use a connection. `before` is the name of the engine that held the copies."""
        self._cluster = cluster
        for slot in list(self._slots.values()):
            self._drop_slot(slot)
        for copy in [one for one in reversed(self._copies.values()) if one.future is not None]:
            if not copy.worker:
                # If the engine has it already, this is the same task.
                self._rooms.give_back(copy.key)
                self._wait_again(copy)
            elif cluster.engine == before:
                self._hold(copy, adopt(cluster.client, copy.key))
            else:
                # The workers of the former scheduler end their commands with the lease.
                self.finish(copy)
        self.pump()

    def _take_slot(self, needs: Mapping[str, float]) -> _Slot | None:
        for slot in self._slots.values():
            if slot.needs == needs and slot.worker not in self._avoided.workers:
                return self._slots.pop(slot.key)
        return None

    def _offer(self, cluster: Cluster, copy: HeldCopy, slot: _Slot) -> None:
        copy.key, copy.future, copy.is_offered = slot.key, slot.future, True
        copy.takers = [cluster.workers.get(slot.worker, "")]
        self._holders[slot.key] = copy
        copy.offer = self._start(self._wait_for_answer(cluster, copy, slot))

    async def _wait_for_answer(self, cluster: Cluster, copy: HeldCopy, slot: _Slot) -> None:
        assert copy.payload is not None
        is_taken = await cluster.offer(slot.worker, slot.key, copy.payload)
        copy.offer = None
        if not is_taken and copy.future is slot.future and not copy.worker:
            # Its task has ended or is about to: `_follow` gives the room back.
            self._wait_again(copy)
            self.pump()

    def _submit(self, cluster: Cluster, copy: HeldCopy) -> None:
        # Without a list, the engine may choose a worker that has no orc, or is frozen.
        copy.takers = cluster.takers()
        try:
            future = cluster.client.submit(
                dask_side.perform,
                copy.payload,
                key=copy.key,
                pure=False,
                retries=0,
                resources={engine_name(name): amount for name, amount in copy.needs.items()},
                workers=copy.takers,
            )
        except Exception as error:
            # The connection may have been lost just now.
            self._start(self._dropped(copy, f"it could not be submitted: {type(error).__name__}"))
            return
        fire_and_forget(future)
        self._hold(copy, future)

    def _hold(self, copy: HeldCopy, future: Future) -> None:
        copy.future = future
        self._holders[copy.key] = copy
        self._start(self._follow(copy.key, future))

    async def _follow(self, key: str, future: Future) -> None:
        """Wait until the engine holds a task no more."""
        error: BaseException | None = None
        with suppress(asyncio.CancelledError, Exception):
            # The engine's own cancellation is an error of the same class.
            error = await future.exception()
        cluster, status = self._cluster, future.status
        if cluster is None or not cluster.is_up:
            return
        slot = self._slots.get(key)
        if slot is not None and slot.future is future:
            self._drop_slot(slot)
            self.pump()
            return
        copy = self._holders.get(key)
        if copy is not None and copy.offer is not None:
            await asyncio.wait([copy.offer])
        copy = self._holders.get(key)
        if copy is None:
            self._rooms.give_back(key)
            self.pump()
        elif copy.future is not future:
            return
        elif status == "finished":
            self.finish(copy)
        else:
            reason = "the engine dropped it"
            if error is not None:
                reason = f"{type(error).__name__}: {error}"[:1000]
            await self._dropped(copy, reason)

    async def _dropped(self, copy: HeldCopy, reason: str) -> None:
        self.finish(copy)
        # Of a copy that has asked, its worker says how it ended, or leaves.
        if not copy.is_withdrawn and not copy.worker:
            event = {"event": "dropped", "ticket": copy.ticket, "run": copy.run, "reason": reason}
            await self._send(event)

    async def _take_back(self, copies: Sequence[HeldCopy], reason: str) -> None:
        assert self._cluster is not None or not copies
        for copy in copies:
            if self._cluster is not None:
                release(self._cluster.client, copy.key)
            await self._dropped(copy, reason)

    def _wait_again(self, copy: HeldCopy) -> None:
        """The engine does not hold the copy, and it has not asked: it is the next one to go."""
        self._leave_task(copy)
        copy.key, copy.is_offered, copy.takers = copy.own_key, False, None
        if copy.is_withdrawn:
            self.forget(copy)
        else:
            self._queue = {(copy.ticket, copy.run): copy, **self._queue}

    def _leave(self, copy: HeldCopy) -> None:
        self._leave_task(copy)
        self.forget(copy)

    def _leave_task(self, copy: HeldCopy) -> None:
        if self._holders.get(copy.key) is copy:
            del self._holders[copy.key]
        copy.future = None

    def _drop_slot(self, slot: _Slot) -> None:
        self._slots.pop(slot.key, None)
        self._rooms.give_back(slot.key)

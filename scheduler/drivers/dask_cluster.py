"""A connection to a cluster of dask.distributed: its scheduler, its workers, and calls to them.

A worker has a name that no other process has (`orc.worker.dask_side.identity`), since an address can
be taken over. Each call is to one worker and has its own time-out: a call to a worker that is gone
takes 30 s by itself, one to a frozen worker for ever.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from distributed import Client

from orc.scheduler.drivers.addresses import address_of, is_safe
from orc.scheduler.drivers.dask_calls import SMALL, Lane
from orc.scheduler.drivers.dask_connection import connect, disconnect
from orc.scheduler.drivers.dask_links import Links
from orc.scheduler.drivers.dask_streams import Take
from orc.scheduler.drivers.lines import Refused
from orc.scheduler.drivers.rooms import SLOTS
from orc.worker import dask_side

CALL_S = 10.0
POLL_S = 5.0
HELLO_S = 5.0

_NAMES = {"CPU": "cpu", "MEMORY": "memory", "GPU": "gpu"}
"""Names of resources in the engine, and in orc. Others have the same name in both."""

_OUTAGES_MAX = 2
_SEND_EVERY_S = 0.001
"""How long what goes to the scheduler is collected: 10 ms by default, for graphs of many tasks."""
_LOOK_S = 0.1
_POSTED_S = 1.0
"""How long the end waits for requests that were posted."""
_NOT_INSTALLED = ("ImportError(", "ModuleNotFoundError(")
_NOT_OURS = "the worker's answer is not that of any version of orc"
_FACT_CHARS = 200
_SLOW = "the worker has not answered in time"
_T = TypeVar("_T")


def engine_name(name: str) -> str:
    """The engine's name of a resource."""
    return {ours: theirs for theirs, ours in _NAMES.items()}.get(name, name)


class Cluster:
    """One connection, from `open` to `close`; another one is made after an outage."""

    def __init__(self, client: Client, engine: str, address: str, take: Take) -> None:
        self.client = client
        self.engine = engine
        self.is_encrypted = address.startswith("tls://")
        self.is_private = is_safe(address, is_insecure=False)
        """Whether nobody else reads this connection."""
        self.workers: dict[str, str] = {}
        """The address of each worker's process, by its name."""
        self.facts: dict[str, dict[str, Any]] = {}
        self.capacity: dict[str, dict[str, float]] = {}
        self.faulty: dict[str, str] = {}
        """Workers that cannot perform steps, by address, with the reason."""
        self.silent: set[str] = set()
        """Workers, by name, that did not answer the last call in time."""
        self._comm = client.scheduler_comm
        self._comm.interval = _SEND_EVERY_S
        self._links = Links(client, take)
        self._lanes: dict[str, Lane] = {}
        self._wake = asyncio.Event()
        self._down = asyncio.Event()
        self._looking = asyncio.create_task(self._look())

    @classmethod
    async def open(cls, site: Mapping[str, Any], take: Take) -> Cluster:
        """Connect. `take` gets the events of streams. Raises Refused with a reason for people."""
        address = address_of(site)
        client, engine = await connect(address, site)
        cluster = cls(client, engine, address, take)
        client.subscribe_topic("all", cluster._noticed)
        return cluster

    async def close(self) -> None:
        """End the connection. What the engine holds goes on."""
        if self.is_up:
            with suppress(TimeoutError):
                async with asyncio.timeout(_POSTED_S):
                    lanes = [lane.empty() for lane in self._lanes.values()]
                    await asyncio.gather(*lanes, self._links.empty())
            # Otherwise the scheduler tells this client that it has left, and logs that it cannot.
            for topic in list(self.client._event_handlers):
                self.client.unsubscribe_topic(topic)
        self._links.close()
        self._looking.cancel()
        await disconnect(self.client)

    @property
    def is_up(self) -> bool:
        """Whether the first connection still stands. The client's next one has lost all futures."""
        comm = self.client.scheduler_comm
        return comm is not None and comm is self._comm and not comm.comm.closed()

    def hears_alone(self, worker: str) -> bool:
        """Whether nobody else reads what is said to the worker: secrets may travel.

        The scheduler passes it on. A loopback address may be a tunnel to other machines.
        """
        address = self.workers.get(worker, "")
        return self.is_private and (not address or is_safe(address, is_insecure=False))

    async def settings(self) -> dict[str, Any]:
        """Settings of the scheduler; empty if orc is not installed there."""
        try:
            return dict(
                await asyncio.wait_for(
                    self.client.run_on_scheduler(dask_side.scheduler_settings), CALL_S
                )
            )
        except Exception:
            return {}

    async def call(
        self, worker: str, request: Mapping[str, Any], *, timeout_s: float = CALL_S
    ) -> dict[str, Any]:
        """Ask the agent on one worker. Raises Refused: `gone`, `timeout`, or what the agent says."""
        if request["op"] in SMALL:
            answer = await self._ask(worker, dict(request))
        else:
            answer = await self._call_checked(worker, request, timeout_s)
        if "error" in answer:
            raise Refused(str(answer["error"]), str(answer.get("message", ""))[:1000])
        return answer

    def post(self, worker: str, request: Mapping[str, Any]) -> None:
        """Send a small request with the next call to that worker, or soon. It may get lost."""
        stream = self._links.stream(self.workers.get(worker, ""))
        if stream is not None:
            stream.post(dict(request))
        elif worker in self.workers:
            self._lane(worker).post(dict(request))

    async def offer(self, worker: str, slot: str, payload: bytes) -> bool:
        """Give a copy to a task that waits for one; whether it has it for certain."""
        stream = self._links.stream(self.workers.get(worker, ""))
        if stream is None:
            return False
        try:
            async with asyncio.timeout(CALL_S):
                return "error" not in await stream.ask(
                    {"op": "offer", "slot": slot, "payload": payload}
                )
        except OSError:
            return False

    def listen(self, job_id: str, take: Callable[[Any], Awaitable[None]]) -> None:
        """Hear of the attempts of a job. `take` gets what comes by the scheduler."""
        self._links.listen(job_id)
        topic = dask_side.topic_of(job_id)
        if topic not in self.client._event_handlers:
            self.client.subscribe_topic(topic, take)

    async def _ask(self, worker: str, request: dict[str, Any]) -> dict[str, Any]:
        stream = self._links.stream(self.workers.get(worker, ""))
        if stream is not None:
            try:
                async with asyncio.timeout(CALL_S):
                    answer = await stream.ask(request)
            except TimeoutError:
                self.silent.add(worker)
                raise Refused("timeout", _SLOW) from None
            except OSError:
                # The scheduler knows whether the worker is still there.
                pass
            else:
                self.silent.discard(worker)
                return answer
        return await self._lane(worker).ask(request)

    def _lane(self, worker: str) -> Lane:
        lane = self._lanes.get(worker)
        if lane is None:
            lane = self._lanes[worker] = Lane(partial(self._call_checked, worker))
        return lane

    async def _call_checked(
        self, worker: str, request: Mapping[str, Any], timeout_s: float = CALL_S
    ) -> dict[str, Any]:
        address = self.workers.get(worker)
        if address is None:
            raise Refused("gone", f"the worker {worker} has left the cluster")
        call = self._links.call(address, {**request, "worker": worker})
        try:
            answer = await self._answer_of(call, timeout_s)
        except Refused as refused:
            if refused.kind == "timeout":
                self.silent.add(worker)
            raise
        self.silent.discard(worker)
        if request["op"] == "many" and "error" in answer:
            raise Refused(str(answer["error"]), str(answer.get("message", ""))[:1000])
        return answer

    def summary(self) -> dict[str, Any]:
        """What people ask of a cluster: its workers, what they have, and which are of no use."""
        return {
            "engine": self.engine,
            "is_encrypted": self.is_encrypted,
            "is_private": self.is_private,
            "capacity": self.capacity,
            "workers": self.facts,
            "faulty": sorted(set(self.faulty.values())),
            "faulty_count": len(self.faulty),
        }

    def takers(self) -> list[str] | None:
        """The addresses of the workers that tasks may go to; None if each one of the engine may."""
        if not self.faulty and not self.silent:
            return None
        answering = [at for name, at in self.workers.items() if name not in self.silent]
        return answering or list(self.workers.values())

    async def held_by(self, worker: str) -> set[str]:
        """The keys of the tasks that the engine has given to a worker and that have not ended.

        Raises OSError, TimeoutError.
        """
        address = self.workers.get(worker, "")
        found = await self._bounded(self.client.processing(workers=[address]), CALL_S)
        return {str(key) for key in found.get(address, ())}

    async def watch(self, changed: Callable[[set[str]], Awaitable[None]]) -> None:
        """Follow the workers until the connection is lost. `changed` gets those that have left."""
        outages = 0
        while self.is_up and outages < _OUTAGES_MAX:
            with suppress(TimeoutError, OSError):
                await self._bounded(self._wake.wait(), POLL_S)
            self._wake.clear()
            try:
                left = await self.refresh()
            except (OSError, TimeoutError):
                outages += 1
                continue
            outages = 0
            await changed(left)

    async def refresh(self) -> set[str]:
        """Learn which workers there are; those that have left since the last time."""
        seen = await self._bounded(self.client.scheduler.identity(n_workers=-1), CALL_S)
        if str(seen["id"]) != self.engine:
            raise OSError("another scheduler answers at this address")
        present = {
            address: worker
            for address, worker in seen["workers"].items()
            if worker["status"] in ("running", "paused")
        }
        left = {name for name, address in self.workers.items() if address not in present}
        for name in left:
            self.drop(name)
        for address in self.faulty.keys() - present.keys():
            del self.faulty[address]
        known = set(self.workers.values())
        await asyncio.gather(*(self._greet(address) for address in present if address not in known))
        for name, address in self.workers.items():
            if address in present:
                self.capacity[name] = _capacity_of(present[address])
        return left

    def drop(self, worker: str) -> None:
        """Forget a worker whose process has ended."""
        self._links.drop(self.workers.pop(worker, ""))
        self.capacity.pop(worker, None)
        self.facts.pop(worker, None)
        self._lanes.pop(worker, None)
        self.silent.discard(worker)

    async def _look(self) -> None:
        """Notice when the connection is lost. The client tries for long to make it again."""
        while self.is_up:  # noqa: ASYNC110  # the client sets no event
            await asyncio.sleep(_LOOK_S)
        self._down.set()

    async def _bounded(self, work: Awaitable[_T], timeout_s: float) -> _T:
        """The result of a call. Raises TimeoutError, and OSError when the connection is lost."""
        task, down = asyncio.ensure_future(work), asyncio.ensure_future(self._down.wait())
        try:
            done, _ = await asyncio.wait(
                {task, down}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if task in done:
                return task.result()
            raise OSError("the connection is lost") if down in done else TimeoutError
        finally:
            down.cancel()
            task.cancel()
            # What it raises meanwhile is of no interest.
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    async def _greet(self, address: str) -> None:
        try:
            facts = await self._answer_of(self._links.greet(address, {"op": "hello"}), HELLO_S)
        except Refused as refused:
            self.faulty[address] = str(refused)
            return
        if "error" in facts:
            self.faulty[address] = str(facts.get("message", ""))[:200]
            return
        name = facts.get("worker")
        if not name or not isinstance(name, str):
            self.faulty[address] = _NOT_OURS
            return
        self.faulty.pop(address, None)
        self.workers[name] = address
        self.facts[name] = {
            **{key: str(facts.get(key))[:_FACT_CHARS] for key in ("host", "orc", "python")},
            "protocol": facts["protocol"] if isinstance(facts.get("protocol"), int) else None,
        }

    async def _answer_of(self, call: Coroutine[Any, Any, Any], timeout_s: float) -> dict[str, Any]:
        try:
            answer = await self._bounded(call, timeout_s)
        except TimeoutError:
            raise Refused("timeout", _SLOW) from None
        except OSError as error:
            raise Refused("unreachable", "the scheduler does not answer") from error
        # The scheduler passes on the text of an error that it does not unpack.
        if isinstance(answer, Exception) and (
            isinstance(answer, ImportError) or str(answer).startswith(_NOT_INSTALLED)
        ):
            raise Refused("missing", f"orc is not installed on the worker: {str(answer)[:200]}")
        if isinstance(answer, OSError) or answer is None:
            raise Refused("gone", "the worker cannot be reached")
        if isinstance(answer, BaseException):
            raise Refused("failed", f"{type(answer).__name__} on the worker")
        if not isinstance(answer, Mapping):
            raise Refused("failed", _NOT_OURS)
        return dict(answer)

    def _noticed(self, event: Any) -> None:
        _, message = event
        action = message.get("action") if isinstance(message, dict) else None
        if action in ("add-worker", "remove-worker", "retire-workers"):
            if action != "retire-workers":
                # A process that has the address of an earlier one is not that one.
                gone = [n for n, at in self.workers.items() if at == message.get("worker")]
                for name in gone if action == "add-worker" else ():
                    self.workers[name] = ""
            self._wake.set()


def _capacity_of(worker: Mapping[str, Any]) -> dict[str, float]:
    amounts = {_NAMES.get(name, name): float(n) for name, n in worker["resources"].items()}
    # Anybody may start a worker with `CPU=nan`, which JSON cannot say.
    amounts = {name: amount for name, amount in amounts.items() if math.isfinite(amount)}
    return {**amounts, SLOTS: float(worker["nthreads"])}

"""The driver of dask.distributed: a process between orc and a cluster.

It speaks lines of JSON (`lines.py`). A connection that is lost is made again for five minutes; then
it is lost for good.

- A task is `orc.worker.dask_side.perform`, by reference. It starts nothing before it is allowed to.
- The engine keeps a task although this process dies (`fire_and_forget`), and drops it when it has
  ended. A published dataset would stay until somebody removes it.
- The engine gets a task when a worker has room for it now; until then it waits here.
- `Future.cancel` is not used for a task that may run: the engine counts its worker as free, while
  the command goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from distributed import Future, fire_and_forget

from orc.scheduler.drivers.dask_cluster import CALL_S, Cluster, engine_name
from orc.scheduler.drivers.dask_copies import HeldCopy, adopt, count_copies, release, show_log
from orc.scheduler.drivers.dask_files import clean_workers, fetch_copy, put_content
from orc.scheduler.drivers.dask_silence import Avoided, stranded
from orc.scheduler.drivers.lines import Lines, Message, Refused
from orc.scheduler.drivers.recent_outcomes import RecentOutcomes
from orc.scheduler.drivers.rooms import Rooms
from orc.worker import dask_side

GIVE_UP_S = 300.0
CENSUS_S = 3.0
_BACKOFF_MAX_S = 15.0
_ENDED_TRIES = 3
_LAST = ("refuse", "forget")
_NO_SECRETS = (
    "a secret travels only with TLS, or on this machine; `orc cluster certs` makes certificates"
)


class DaskDriver:
    """Answers requests, and sends what happens on the cluster."""

    def __init__(self, lines: Lines, *, give_up_s: float = GIVE_UP_S) -> None:
        self._lines = lines
        self._give_up_s = give_up_s
        self._site: Mapping[str, Any] = {}
        self._cluster: Cluster | None = None
        self._is_lost = False
        self._jobs: set[str] = set()
        self._copies: dict[tuple[str, str], HeldCopy] = {}
        self._queue: dict[tuple[str, str], HeldCopy] = {}
        self._outcomes = RecentOutcomes()
        self._rooms = Rooms()
        self._avoided = Avoided()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._said: Message = {}

    async def answer(self, request: Message) -> Message:
        """The reply to a request."""
        match request["op"]:
            case "connect":
                return await self._connect(request)
            case "submit":
                return self._submit(request)
            case "withdraw":
                return self._withdraw(request)
            case "allow" | "refuse" | "cancel" | "forget":
                return await self._control(request)
            case "census":
                return await self._census(request)
            case "put":
                return await put_content(self._connected(), request)
            case "fetch":
                return await fetch_copy(self._connected(), request, self._outcomes.take(request))
            case "ping":
                return {}
            case "capacity":
                return await self._capacity()
            case "clean":
                return await clean_workers(self._connected())
            case "close":
                if self._cluster is not None:
                    await self._cluster.close()
                return {}
            case other:
                raise Refused("bad", f"no such request: {other}")

    async def _connect(self, request: Message) -> Message:
        self._site = request["site"]
        self._give_up_s = float(request.get("give_up_s", self._give_up_s))
        self._jobs.update(request.get("jobs", ()))
        cluster = await Cluster.open(self._site)
        await self._use(cluster)
        self._start(self._keep_connected())
        return {**await self._capacity(), "settings": await cluster.settings()}

    def _connected(self) -> Cluster:
        if self._cluster is None:
            raise Refused("unreachable", "the scheduler does not answer")
        return self._cluster

    async def _use(self, cluster: Cluster) -> None:
        self._cluster = cluster
        await cluster.refresh()
        for job in self._jobs:
            self._listen(job)
        await self._seen()

    async def _keep_connected(self) -> None:
        """Follow the connection; after an outage, make another one until it is too late."""
        while True:
            cluster = self._connected()
            await cluster.watch(self._workers_left)
            self._cluster, self._said = None, {}
            await self._lines.send({"event": "lost", "reason": "the scheduler does not answer"})
            await cluster.close()
            if (why := await self._reconnect(before=cluster.engine)) is not None:
                reason = f"the scheduler has not answered for too long: {why}"
                await self._lines.send({"event": "lost", "reason": reason, "final": True})
                return

    async def _reconnect(self, *, before: str) -> str | None:
        """Connect again; why it was not possible until it was too late."""
        loop = asyncio.get_running_loop()
        deadline, pause_s, why = loop.time() + self._give_up_s, 0.25, ""
        while loop.time() < deadline:
            try:
                cluster = await Cluster.open(self._site)
                await self._use(cluster)
            except (Refused, OSError, TimeoutError) as error:
                why = str(error)
                await asyncio.sleep(min(pause_s, max(deadline - loop.time(), 0)))
                pause_s = min(pause_s * 2, _BACKOFF_MAX_S)
                continue
            for copy in [one for one in self._copies.values() if one.future is not None]:
                if not copy.worker:
                    # If the engine has it already, this is the same task.
                    self._rooms.give_back(copy.key)
                    copy.future, self._queue[copy.ticket, copy.run] = None, copy
                elif cluster.engine == before:
                    self._hold(copy, adopt(cluster.client, copy))
                else:
                    # The workers of the former scheduler end their commands with the lease.
                    self._finish(copy)
            self._pump()
            return None
        return why

    async def _seen(self) -> None:
        """Say which workers there are, if that has changed."""
        cluster = self._connected()
        self._rooms.set_capacity(cluster.capacity)
        said = {"event": "engine", "engine": cluster.engine, "capacity": {**cluster.capacity}}
        if said != self._said:
            self._said = said
            await self._lines.send(said)

    async def _workers_left(self, left: set[str]) -> None:
        for worker in sorted(left):
            for copy in [one for one in self._copies.values() if one.worker == worker]:
                # The engine would start it again elsewhere, where it could only be refused.
                release(self._connected().client, copy)
                self._finish(copy)
            await self._lines.send({"event": "gone", "worker": worker})
        alone = stranded(self._connected(), self._copies.values())
        await self._take_back(alone, "the workers that it was meant for have left")
        await self._seen()
        self._pump()

    async def _capacity(self) -> Message:
        cluster = self._connected()
        with suppress(OSError, TimeoutError):
            await self._workers_left(await cluster.refresh())
        return {**cluster.summary(), "waiting": len(self._queue)}

    def _submit(self, request: Message) -> Message:
        place = request["ticket"], request["run"]
        if place not in self._copies:
            copy = HeldCopy(*place, request["needs"], request["payload"].encode())
            self._copies[place] = self._queue[place] = copy
            self._listen(dask_side.job_of(copy.ticket))
            self._pump()
        return {"waiting": len(self._queue)}

    def _withdraw(self, request: Message) -> Message:
        """Drop a copy that has not asked. If the engine starts it anyway, it is refused."""
        copy = self._copies.get((request["ticket"], request["run"]))
        if copy is None:
            return {"known": False}
        copy.is_withdrawn = True
        self._queue.pop((copy.ticket, copy.run), None)
        if copy.future is None:
            self._finish(copy)
        elif not copy.worker and self._cluster is not None:
            release(self._cluster.client, copy)
        return {"known": True}

    def _listen(self, job: str) -> None:
        self._jobs.add(job)
        topic = dask_side.topic_of(job)
        if self._cluster is not None and topic not in self._cluster.client._event_handlers:
            self._cluster.client.subscribe_topic(topic, self._noticed)

    def _pump(self) -> None:
        """Give the engine what it has room for, in the order of submission."""
        cluster = self._cluster
        if cluster is None:
            return
        refused: list[Mapping[str, float]] = []
        for place, copy in list(self._queue.items()):
            if copy.needs in refused:
                continue
            if not self._rooms.take(copy.key, copy.needs):
                refused.append(copy.needs)
                if not copy.needs:
                    break
                continue
            del self._queue[place]
            # Without a list, the engine may choose a worker that has no orc, or is frozen.
            copy.takers = cluster.takers()
            future = cluster.client.submit(
                dask_side.perform,
                copy.payload,
                key=copy.key,
                pure=False,
                retries=0,
                resources={engine_name(name): amount for name, amount in copy.needs.items()},
                workers=copy.takers,
            )
            fire_and_forget(future)
            self._hold(copy, future)

    def _hold(self, copy: HeldCopy, future: Future) -> None:
        copy.future = future
        self._start(self._follow(copy, future))

    async def _follow(self, copy: HeldCopy, future: Future) -> None:
        """Wait until the engine holds the copy no more."""
        error: BaseException | None = None
        with suppress(asyncio.CancelledError, Exception):
            # The engine's own cancellation is an error of the same class.
            error = await future.exception()
        cluster, status = self._cluster, future.status
        if copy.future is not future or cluster is None or not cluster.is_up:
            return
        if status == "finished":
            self._finish(copy)
        else:
            reason = "the engine dropped it"
            if error is not None:
                reason = f"{type(error).__name__}: {error}"[:1000]
            await self._dropped(copy, reason)

    async def _dropped(self, copy: HeldCopy, reason: str) -> None:
        self._finish(copy)
        # Of a copy that has asked, its worker says how it ended, or leaves.
        if not copy.is_withdrawn and not copy.worker:
            event = {"event": "dropped", "ticket": copy.ticket, "run": copy.run, "reason": reason}
            await self._lines.send(event)

    def _finish(self, copy: HeldCopy) -> None:
        self._rooms.give_back(copy.key)
        copy.future = None
        if copy.reader is None:
            self._copies.pop((copy.ticket, copy.run), None)
        self._pump()

    async def _control(self, request: Message) -> Message:
        fields = {name: value for name, value in request.items() if name not in ("id", "worker")}
        cluster = self._connected()
        if request.get("secrets") and not cluster.is_private:
            raise Refused("insecure", _NO_SECRETS)
        reply: Message = {}
        if request["op"] == "forget":
            # The end of the attempt is committed, and what is left expires: nothing waits for this.
            cluster.post(request["worker"], fields)
            self._outcomes.take(request)
        else:
            reply = await cluster.call(request["worker"], fields)
        copy = self._copies.get((request["ticket"], request["run"]))
        if copy is not None and copy.worker == request["worker"] and request["op"] in _LAST:
            self._finish(copy)
        return reply

    async def _census(self, request: Message) -> Message:
        """Which copies of the job's attempts there are. A worker that does not answer is `silent`."""
        cluster, job = self._connected(), request["job"]
        self._listen(job)
        timeout_s = float(request.get("timeout_s", CENSUS_S))
        # A worker that joins meanwhile was not asked, and does not count as answered.
        workers = sorted(cluster.workers)
        copies, silent = await count_copies(cluster, job, workers, timeout_s)
        for found in copies:
            self._adopt(cluster, found)
        await self._avoid_silent(cluster)
        return {"copies": copies, "silent": silent, "workers": workers}

    async def _avoid_silent(self, cluster: Cluster) -> None:
        """Give nothing more to workers that do not answer, and elsewhere what they have not taken."""
        held = await self._avoided.look(cluster, tuple(self._copies.values()))
        self._rooms.close(self._avoided.workers)
        await self._take_back(held, "its worker does not answer")
        self._pump()

    async def _take_back(self, copies: list[HeldCopy], reason: str) -> None:
        for copy in copies:
            release(self._connected().client, copy)
            await self._dropped(copy, reason)

    def _adopt(self, cluster: Cluster, found: Message) -> None:
        """Count what an earlier driver submitted."""
        place = str(found["ticket"]), str(found["run"])
        if place in self._copies or found["state"] not in ("asking", "running"):
            return
        copy = self._copies[place] = HeldCopy(*place, {}, None, worker=found["worker"])
        self._rooms.move(copy.key, copy.worker, {})
        self._hold(copy, adopt(cluster.client, copy))

    async def _noticed(self, event: Any) -> None:
        _, notice = event
        if not isinstance(notice, dict) or dask_side.job_of(str(notice.get("ticket"))) not in (
            self._jobs
        ):
            return
        cluster = self._cluster
        worker = str(notice.get("by"))
        if cluster is None:
            return
        # The engine adds the address.
        cluster.workers.setdefault(worker, str(notice.get("worker")))
        copy = self._copies.get((str(notice["ticket"]), str(notice.get("run"))))
        match notice.get("event"):
            case "asked":
                await self._asked(notice, worker, copy)
            case "printed" if copy is not None and copy.worker == worker:
                self._printed(copy, notice)
            case "ended":
                self._start(self._ended(cluster, notice, worker, copy))

    async def _asked(self, notice: Message, worker: str, copy: HeldCopy | None) -> None:
        fields = {name: notice.get(name) for name in ("ticket", "run", "host", "protocol")}
        if notice.get("problem"):
            reason = str(notice["problem"])
            dropped = {"event": "dropped", "ticket": notice["ticket"], "run": notice.get("run")}
            await self._lines.send({**dropped, "worker": worker, "reason": reason})
            return
        if copy is not None and copy.is_withdrawn:
            self._start(self._refuse_late(worker, copy))
            return
        if copy is not None and not copy.worker:
            copy.worker, copy.payload = worker, None
            self._rooms.move(copy.key, worker, copy.needs)
        missing = notice.get("missing") or []
        await self._lines.send({"event": "asked", **fields, "worker": worker, "missing": missing})

    async def _refuse_late(self, worker: str, copy: HeldCopy) -> None:
        with suppress(Refused):
            request = {"op": "refuse", "ticket": copy.ticket, "run": copy.run}
            await self._connected().call(worker, request)

    def _printed(self, copy: HeldCopy, notice: Message) -> None:
        if copy.printed is None:
            copy.printed = int(notice["offset"])
        copy.printed_until = max(copy.printed_until, int(notice["until"]))
        if copy.reader is None:
            copy.reader = self._start(self._read(copy))

    async def _read(self, copy: HeldCopy) -> None:
        if self._cluster is not None:
            await show_log(self._cluster, copy, self._lines.send)
        copy.reader = None
        if copy.future is None:
            self._copies.pop((copy.ticket, copy.run), None)

    async def _ended(
        self, cluster: Cluster, notice: Message, worker: str, copy: HeldCopy | None
    ) -> None:
        place = {"ticket": notice["ticket"], "run": notice["run"]}
        for _ in range(_ENDED_TRIES):
            try:
                reply = await cluster.call(worker, {"op": "outcome", **place})
            except Refused:
                # A census finds it, if the worker lives.
                continue
            if copy is not None and copy.reader is not None:
                with suppress(Exception):
                    await asyncio.wait_for(asyncio.shield(copy.reader), CALL_S)
            event = {**place, "worker": worker, "outcome": reply["outcome"]}
            self._outcomes.keep(event)
            await self._lines.send({"event": "ended", **event})
            return

    def _start(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

"""The driver of dask.distributed: a process between orc and a cluster.

It speaks lines of JSON (`lines.py`). A connection that is lost is made again for five minutes; then
it is lost for good. `dask_holding.py` has the copies, and gives them to the engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from orc.scheduler.drivers.dask_cluster import CALL_S, Cluster
from orc.scheduler.drivers.dask_copies import HeldCopy, count_copies, show_log
from orc.scheduler.drivers.dask_files import clean_workers, fetch_copy, must_be_fetched, put_content
from orc.scheduler.drivers.dask_holding import Holding
from orc.scheduler.drivers.lines import Lines, Message, Refused
from orc.scheduler.drivers.recent_outcomes import RecentOutcomes
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
        self._jobs: set[str] = set()
        self._outcomes = RecentOutcomes()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._held = Holding(lines.send, self._start)
        self._said: Message = {}

    async def answer(self, request: Message) -> Message:
        """The reply to a request."""
        match request["op"]:
            case "connect":
                return await self._connect(request)
            case "submit":
                return self._submit(request)
            case "withdraw":
                return {"known": self._held.withdraw(request["ticket"], request["run"])}
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
        cluster = await Cluster.open(self._site, self._take_notice)
        await self._use(cluster, before=cluster.engine)
        self._start(self._keep_connected())
        return {**await self._capacity(), "settings": await cluster.settings()}

    def _connected(self) -> Cluster:
        if self._cluster is None:
            raise Refused("unreachable", "the scheduler does not answer")
        return self._cluster

    async def _use(self, cluster: Cluster, *, before: str) -> None:
        self._cluster = cluster
        for job in self._jobs:
            self._listen(job)
        await cluster.refresh()
        await self._seen()
        self._held.connect(cluster, before=before)

    async def _keep_connected(self) -> None:
        """Follow the connection; after an outage, make another one until it is too late."""
        while True:
            cluster = self._connected()
            await cluster.watch(self._workers_left)
            self._cluster, self._said = None, {}
            self._held.disconnect()
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
                cluster = await Cluster.open(self._site, self._take_notice)
                await self._use(cluster, before=before)
            except (Refused, OSError, TimeoutError) as error:
                why = str(error)
                await asyncio.sleep(min(pause_s, max(deadline - loop.time(), 0)))
                pause_s = min(pause_s * 2, _BACKOFF_MAX_S)
                continue
            return None
        return why

    async def _seen(self) -> None:
        """Say which workers there are, if that has changed."""
        cluster = self._connected()
        self._held.set_capacity(cluster)
        said = {"event": "engine", "engine": cluster.engine, "capacity": {**cluster.capacity}}
        if said != self._said:
            self._said = said
            await self._lines.send(said)

    async def _workers_left(self, left: set[str]) -> None:
        await self._held.workers_left(self._connected(), left)
        await self._seen()
        self._held.pump()

    async def _capacity(self) -> Message:
        cluster = self._connected()
        with suppress(OSError, TimeoutError):
            await self._workers_left(await cluster.refresh())
        return {**cluster.summary(), "waiting": self._held.waiting}

    def _submit(self, request: Message) -> Message:
        ticket, run = request["ticket"], request["run"]
        self._listen(dask_side.job_of(ticket))
        self._held.submit(ticket, run, request["needs"], request["payload"].encode())
        return {"waiting": self._held.waiting}

    def _listen(self, job: str) -> None:
        self._jobs.add(job)
        if self._cluster is not None:
            self._cluster.listen(job, self._noticed)

    async def _control(self, request: Message) -> Message:
        fields = {name: value for name, value in request.items() if name not in ("id", "worker")}
        cluster = self._connected()
        if request.get("secrets") and not cluster.hears_alone(request["worker"]):
            raise Refused("insecure", _NO_SECRETS)
        reply: Message = {}
        if request["op"] == "forget":
            # The end of the attempt is committed, and what is left expires: nothing waits for this.
            cluster.post(request["worker"], fields)
            self._outcomes.take(request)
        else:
            reply = await cluster.call(request["worker"], fields)
        copy = self._held.find(request["ticket"], request["run"])
        if copy is not None and copy.worker == request["worker"] and request["op"] in _LAST:
            self._held.finish(copy)
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
            self._held.adopt(cluster, found)
        await self._held.avoid_silent(cluster)
        return {"copies": copies, "silent": silent, "workers": workers}

    async def _noticed(self, event: Any) -> None:
        """Take what came by the scheduler."""
        await self._take_notice(event[1])

    async def _take_notice(self, notice: Any) -> None:
        if not isinstance(notice, dict) or dask_side.job_of(str(notice.get("ticket"))) not in (
            self._jobs
        ):
            return
        cluster = self._cluster
        worker = str(notice.get("by"))
        if cluster is None:
            return
        if "worker" in notice:
            # The engine adds the address.
            cluster.workers.setdefault(worker, str(notice["worker"]))
        copy = self._held.find(notice["ticket"], notice.get("run"))
        match notice.get("event"):
            case "asked":
                await self._asked(notice, worker, copy)
            case "printed" if copy is not None and copy.worker == worker:
                self._printed(copy, notice)
            case "ended" if notice.get("outcome") is not None and _has_no_reader(copy):
                await self._announce_end(notice, worker, notice["outcome"])
            case "ended":
                self._start(self._ended(cluster, notice, worker, copy))
        if notice.get("event") == "ended" and copy is not None and copy.worker == worker:
            self._held.ended(copy, notice.get("slot"))

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
            self._held.asked(copy, worker)
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
        self._held.forget(copy)

    async def _ended(
        self, cluster: Cluster, notice: Message, worker: str, copy: HeldCopy | None
    ) -> None:
        outcome = notice.get("outcome")
        for _ in range(_ENDED_TRIES):
            if outcome is not None:
                break
            with suppress(Refused):
                # A census finds it otherwise, if the worker lives.
                place = {"ticket": notice["ticket"], "run": notice["run"]}
                outcome = (await cluster.call(worker, {"op": "outcome", **place}))["outcome"]
        if outcome is None:
            return
        if copy is not None and copy.reader is not None:
            with suppress(Exception):
                await asyncio.wait_for(asyncio.shield(copy.reader), CALL_S)
        await self._announce_end(notice, worker, outcome)

    async def _announce_end(self, notice: Message, worker: str, outcome: Any) -> None:
        place = {"ticket": notice["ticket"], "run": notice["run"]}
        event = {**place, "worker": worker, "outcome": outcome}
        if must_be_fetched(outcome):
            self._outcomes.keep(event)
        await self._lines.send({"event": "ended", **event})

    def _start(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _has_no_reader(copy: HeldCopy | None) -> bool:
    return copy is None or copy.reader is None

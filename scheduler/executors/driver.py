"""An engine behind a driver process: the calls of `contract.Engine`, and the engine's events.

A driver that dies is started again, and gets anew what has not asked yet. What has asked or runs is
found by a census, which is due after each `EngineSeen`.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import trio

from orc.ledger import failpoints
from orc.ledger.digest import clean_text
from orc.scheduler.drivers.rooms import needs_of
from orc.scheduler.executors.contract import (
    Asked,
    Broken,
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
    Ticket,
    Work,
    WorkOutcome,
)
from orc.scheduler.executors.driver_process import DriverProcess
from orc.scheduler.executors.errors import EngineProblem, EngineUnreachable, WorkerLeft
from orc.scheduler.executors.fetched import checked_outcome, lost_reason, take_files
from orc.scheduler.executors.kept_outcomes import KeptOutcomes
from orc.scheduler.executors.submission import Submission
from orc.scheduler.executors.wire import BadOutcome, decode_bytes

CALL_S = 15.0
CONNECT_S = 40.0
LONG_S = 86400.0
"""For requests whose parts have time limits in the driver. A driver that hangs is killed anyway."""
GIVE_UP_S = 300.0
KEEP_S = 86400.0

_PRINTED_WAITING_MAX = 1000
_BACKOFF_MAX_S = 15.0


class DriverEngine:
    """One engine, for all jobs of this process. `open_engine` makes and ends it."""

    def __init__(
        self,
        engine: str,
        site: Mapping[str, Any],
        *,
        lease_s: float,
        keep_s: float,
        give_up_s: float,
    ) -> None:
        self.lease_s = lease_s
        self.facts: dict[str, Any] = {}
        """What the engine said of itself at the last connection."""
        self.kept: KeptOutcomes | None = None
        """What workers keep in a folder that they share with this machine."""
        self._engine = engine
        self._site = site
        self._keep_s = keep_s
        self._give_up_s = give_up_s
        self._process: DriverProcess | None = None
        self._is_stopping = False
        self._submitted: dict[tuple[str, str], Submission] = {}
        self._asked: set[tuple[str, str]] = set()
        self._provided: set[tuple[str, str, str]] = set()
        self._jobs: set[str] = set()
        self._send, self.events = trio.open_memory_channel[EngineEvent](math.inf)
        self._nursery: trio.Nursery | None = None

    @property
    def pid(self) -> int | None:
        """The number of the driver's process."""
        return None if self._process is None else self._process.pid

    async def submit(self, ticket: Ticket, run: str, work: Work, attempt: Inputs) -> None:
        """Give the work to the engine. Without an engine, it is given when there is one again."""
        self._jobs.add(ticket.job_id)
        submitted = Submission(ticket, run, work, attempt, self.kept)
        self._submitted[str(ticket), run] = submitted
        await self._submit(submitted)

    async def withdraw(self, ticket: Ticket, run: str) -> None:
        """Take back a copy that has not asked. If it asks nevertheless, it is refused."""
        self._forget(str(ticket), run)
        with suppress(EngineUnreachable):
            await self._ask("withdraw", ticket=str(ticket), run=run)

    async def allow(
        self, ticket: Ticket, run: str, worker: str, *, epoch: int, secrets: Mapping[str, str]
    ) -> None:
        """Let that copy start. Raises Superseded, WorkerLeft, EngineUnreachable or EngineProblem.

        Kinds of an EngineProblem: `refused` (it ended without starting), `unknown` (so does the
        worker), `missing` (contents of inputs are not there: refuse it and submit it again).
        """
        failpoints.hit("allow.before_send")
        place: dict[str, Any] = {"ticket": str(ticket), "run": run, "worker": worker}
        await self._ask("allow", **place, epoch=epoch, secrets=dict(secrets))

    async def refuse(self, ticket: Ticket, run: str, worker: str, *, epoch: int) -> None:
        """Let that copy end without starting. Raises as `allow`."""
        await self._ask("refuse", ticket=str(ticket), run=run, worker=worker, epoch=epoch)
        self._forget(str(ticket), run)

    async def cancel(
        self, ticket: Ticket, run: str, worker: str, *, epoch: int, grace_s: float
    ) -> None:
        """End a running copy. Raises as `allow`."""
        place: dict[str, Any] = {"ticket": str(ticket), "run": run, "worker": worker}
        await self._ask("cancel", **place, epoch=epoch, grace_s=grace_s)

    async def count(self, job_id: str) -> Census | None:
        """See `Engine.count`: workers that have not answered may have copies, too."""
        self._jobs.add(job_id)
        try:
            reply = await self._ask("census", job=job_id)
        except EngineProblem:
            return None
        copies = [
            Copy(str(one.get("ticket")), str(one.get("run")), str(one["worker"]), one["state"])
            for one in reply["copies"]
            if one.get("state") in ("asking", "running", "ended", "refused")
        ]
        answered = frozenset(map(str, reply["workers"])) - frozenset(map(str, reply["silent"]))
        return Census(tuple(copies), answered, frozenset(map(str, reply["silent"])))

    async def fetch(self, ticket: Ticket, run: str, worker: str, folder: Path) -> WorkOutcome:
        """Copy the files of an ended copy into `folder`, each verified; its outcome.

        Raises Lost if the worker has left or has no such copy, EngineUnreachable without an engine.
        An outcome that is not what it says has a `broken` in place of its files.
        """
        parts = Path(tempfile.mkdtemp(prefix=".fetched-", dir=folder))
        try:
            place = {"ticket": str(ticket), "run": run, "worker": worker}
            reply = await self._ask("fetch", **place, folder=str(parts), timeout_s=LONG_S)
            return await trio.to_thread.run_sync(take_files, reply["outcome"], parts, folder)
        except WorkerLeft as error:
            raise Lost(f"the worker left before its files were fetched: {error}") from error
        except EngineUnreachable:
            raise
        except EngineProblem as error:
            if error.kind == "environment":
                return WorkOutcome(broken=Broken("environment", str(error)))
            raise Lost(f"the worker cannot give the result: {error}") from error
        finally:
            shutil.rmtree(parts, ignore_errors=True)

    async def forget(self, ticket: Ticket, run: str, worker: str, *, epoch: int) -> None:
        """Drop what the worker keeps of that copy; nothing is raised, since it expires anyway."""
        self._forget(str(ticket), run)
        place = {"ticket": str(ticket), "run": run, "worker": worker}
        with suppress(EngineUnreachable):
            await self._driver().post("forget", **place, epoch=epoch)

    async def capacity(self) -> dict[str, Any]:
        """Workers, versions and what each has. Raises EngineProblem."""
        return await self._ask("capacity", timeout_s=CONNECT_S)

    async def clean(self) -> dict[str, Any]:
        """Remove what ended copies left on the workers. Raises EngineProblem."""
        return await self._ask("clean", timeout_s=LONG_S)

    async def start(self) -> None:
        """Start the driver and connect. Raises EngineProblem."""
        self._process = process = await self._start_process()
        assert self._nursery is not None
        await self._nursery.start(self._run, process)

    async def stop(self) -> None:
        """Let the driver end. Bounded, whatever the driver and the engine do."""
        self._is_stopping = True
        if self._process is not None:
            await self._process.stop()
        self._send.close()

    async def _start_process(self) -> DriverProcess:
        try:
            return await DriverProcess.start(self._engine, os.environ)
        except OSError as error:
            raise EngineUnreachable("driver", f"the driver cannot be started: {error}") from error

    async def _run(
        self, process: DriverProcess, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run the driver, and another one when it dies; until it is too late for that."""
        try:
            await self._run_once(process, task_status)
            deadline, pause_s = trio.current_time() + self._give_up_s, 0.1
            while trio.current_time() < deadline and not self._is_stopping:
                self._put(EngineLost("the driver has ended"))
                try:
                    process = await self._start_process()
                    connected = await self._run_once(process, None)
                except EngineProblem:
                    connected = False
                if connected:
                    deadline, pause_s = trio.current_time() + self._give_up_s, 0.1
                    continue
                await trio.sleep(pause_s)
                pause_s = min(pause_s * 2, _BACKOFF_MAX_S)
            self._put(EngineLost("the driver ends again and again", final=True))
        finally:
            self._process = None

    async def _run_once(
        self, process: DriverProcess, task_status: trio.TaskStatus[None] | None
    ) -> bool:
        """Connect a new driver, and wait for its end; whether it was connected.

        With a `task_status`, a connection that fails is raised.
        """
        self._process = process
        connected = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow, process, nursery.cancel_scope)
            try:
                self.facts = await process.ask(
                    "connect",
                    site=dict(self._site),
                    jobs=sorted(self._jobs),
                    give_up_s=self._give_up_s,
                    timeout_s=CONNECT_S,
                )
            except EngineProblem as error:
                nursery.cancel_scope.cancel()
                failed: EngineProblem | None = error
            else:
                failed, connected = None, True
                for place, submitted in list(self._submitted.items()):
                    if place not in self._asked:
                        nursery.start_soon(self._submit, submitted)
                if task_status is not None:
                    task_status.started()
        if failed is not None and task_status is not None:
            raise failed
        return connected

    async def _follow(self, process: DriverProcess, scope: trio.CancelScope) -> None:
        await process.run(self._take)
        scope.cancel()

    async def _submit(self, submitted: Submission) -> None:
        work = submitted.work
        if work.inputs or work.shipped:
            payload = await trio.to_thread.run_sync(submitted.payload, self.lease_s, self._keep_s)
        else:
            payload = submitted.payload(self.lease_s, self._keep_s)
        # Without an engine, it is submitted again after the next connection.
        with suppress(EngineUnreachable):
            await self._driver().post(
                "submit",
                ticket=str(submitted.ticket),
                run=submitted.run,
                payload=payload,
                needs=needs_of(work.resources, work.labels),
            )

    async def _ask(self, op: str, *, timeout_s: float = CALL_S, **fields: Any) -> dict[str, Any]:
        return await self._driver().ask(op, timeout_s=timeout_s, **fields)

    def _driver(self) -> DriverProcess:
        if self._process is None:
            raise EngineUnreachable("unreachable", "the engine does not answer")
        return self._process

    def _forget(self, ticket: str, run: str) -> None:
        self._submitted.pop((ticket, run), None)
        self._asked.discard((ticket, run))

    def _put(self, event: EngineEvent) -> None:
        waiting = self.events.statistics().current_buffer_used
        if self._is_stopping or (isinstance(event, Printed) and waiting > _PRINTED_WAITING_MAX):
            # The whole log comes with the result.
            return
        self._send.send_nowait(event)

    def _take(self, message: dict[str, Any]) -> None:
        # A worker may say anything; what is no event is none.
        with suppress(TypeError, ValueError, KeyError, AttributeError, BadOutcome):
            self._take_event(message)

    def _take_event(self, message: dict[str, Any]) -> None:
        ticket, run = str(message.get("ticket", "")), str(message.get("run", ""))
        worker = clean_text(str(message.get("worker", "")))
        match message["event"]:
            case "asked":
                self._asked.add((ticket, run))
                host = clean_text(str(message["host"]))[:200]
                asked = Asked(ticket, run, worker, host, int(message["protocol"] or 0))
                submitted = self._submitted.get((ticket, run))
                missing = message.get("missing")
                if submitted is not None and missing:
                    assert self._nursery is not None
                    self._nursery.start_soon(self._provide, submitted, asked, set(missing))
                else:
                    self._put(asked)
            case "printed":
                content = decode_bytes(message["content"])
                self._put(Printed(ticket, run, worker, int(message["offset"]), content))
            case "ended":
                self._ended(ticket, run, worker, message["outcome"])
            case "dropped":
                self._forget(ticket, run)
                self._put(Dropped(ticket, run, worker, clean_text(str(message["reason"]))))
            case "gone":
                self._put(Gone(worker))
            case "engine":
                self._put(EngineSeen(str(message["engine"]), message["capacity"]))
            case "lost":
                self._put(EngineLost(str(message["reason"]), bool(message.get("final"))))

    def _ended(self, ticket: str, run: str, worker: str, value: Any) -> None:
        self._forget(ticket, run)
        reason = lost_reason(value)
        if reason is not None:
            self._put(Dropped(ticket, run, worker, reason))
        else:
            self._put(Ended(ticket, run, worker, checked_outcome(value)))

    async def _provide(self, submitted: Submission, asked: Asked, missing: set[str]) -> None:
        """Send the inputs that the worker lacks; then the scheduler learns that the copy asks."""
        place = (asked.ticket, asked.run, asked.worker)
        if place in self._provided:
            # It asks again while they are on their way.
            return
        self._provided.add(place)
        files = submitted.files()
        try:
            for digest in sorted(missing & files.keys()):
                file = files[digest]
                path = await trio.to_thread.run_sync(submitted.attempt.read_input, file)
                await self._ask(
                    "put",
                    worker=asked.worker,
                    sha256=digest,
                    size_bytes=file.size_bytes,
                    path=str(path),
                    timeout_s=LONG_S,
                )
        except (EngineUnreachable, WorkerLeft):
            pass  # The copy goes on asking, or its worker has left.
        except EngineProblem as error:
            # Its disk may be full, and that of another worker not.
            self._forget(asked.ticket, asked.run)
            reason = f"its inputs could not be sent to {asked.host}: {error}"
            self._put(Dropped(asked.ticket, asked.run, "", reason))
        else:
            self._put(asked)
        finally:
            self._provided.discard(place)


@asynccontextmanager
async def open_engine(
    engine: str,
    site: Mapping[str, Any],
    *,
    lease_s: float,
    keep_s: float = KEEP_S,
    give_up_s: float = GIVE_UP_S,
) -> AsyncIterator[DriverEngine]:
    """The engine, connected. At the end, what it runs goes on, and the driver ends.

    Raises EngineProblem with a reason for people if the engine cannot be reached or used.
    """
    # What the block raises leaves the nursery as it is, and not in a group.
    failed: Exception | None = None
    async with trio.open_nursery() as nursery:
        opened = DriverEngine(engine, site, lease_s=lease_s, keep_s=keep_s, give_up_s=give_up_s)
        opened._nursery = nursery
        try:
            await opened.start()
            yield opened
        except Exception as error:
            failed = error
        finally:
            await opened.stop()
            nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed

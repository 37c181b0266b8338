"""An engine in this process: real agents perform the copies in threads, and no cluster is needed."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import trio

from orc.scheduler.executors.contract import (
    Asked,
    Census,
    Copy,
    Dropped,
    Ended,
    EngineEvent,
    EngineSeen,
    Inputs,
    Lost,
    Printed,
    Superseded,
    Ticket,
    Work,
    WorkOutcome,
)
from orc.scheduler.executors.errors import EngineProblem
from orc.scheduler.executors.fetched import checked_outcome, lost_reason, take_files
from orc.scheduler.executors.kept_outcomes import KeptOutcomes
from orc.scheduler.executors.submission import Submission
from orc.scheduler.executors.wire import decode_bytes
from orc.worker.agent import Agent

_PIECE = 1 << 20


class LoopbackEngine:
    """`contract.Engine` with one worker, whose agent is in this process."""

    def __init__(
        self, folder: Path, *, lease_s: float = 10.0, kept: KeptOutcomes | None = None
    ) -> None:
        self.lease_s = lease_s
        self.kept = kept
        self._agent = Agent({"ORC_WORKER_DIR": str(folder)})
        self._submitted: dict[tuple[str, str], Submission] = {}
        self._token = trio.lowlevel.current_trio_token()
        self._send, self.events = trio.open_memory_channel[EngineEvent](float("inf"))
        self._send.send_nowait(EngineSeen("loopback", {"w1": {}}))

    async def close(self) -> None:
        await trio.to_thread.run_sync(self._agent.close)

    async def submit(self, ticket: Ticket, run: str, work: Work, attempt: Inputs) -> None:
        submitted = Submission(ticket, run, work, attempt, self.kept)
        self._submitted[str(ticket), run] = submitted
        payload = submitted.payload(self.lease_s, 60.0).encode()
        threading.Thread(target=self._perform, args=(payload,), daemon=True).start()

    async def withdraw(self, ticket: Ticket, run: str) -> None:
        with suppress(EngineProblem):
            await self._control("refuse", ticket, run)

    async def allow(
        self, ticket: Ticket, run: str, worker: str, *, epoch: int, secrets: Mapping[str, str]
    ) -> None:
        await self._control("allow", ticket, run, epoch=epoch, secrets=dict(secrets))

    async def refuse(self, ticket: Ticket, run: str, worker: str, *, epoch: int) -> None:
        await self._control("refuse", ticket, run, epoch=epoch)

    async def cancel(
        self, ticket: Ticket, run: str, worker: str, *, epoch: int, grace_s: float
    ) -> None:
        await self._control("cancel", ticket, run, epoch=epoch, grace_s=grace_s)

    async def count(self, job_id: str) -> Census | None:
        found = self._agent.control({"op": "census", "job_id": job_id})
        copies = (
            Copy(one["ticket"], one["run"], one["worker"], one["state"]) for one in found["copies"]
        )
        return Census(tuple(copies), frozenset({"w1"}), frozenset())

    async def fetch(self, ticket: Ticket, run: str, worker: str, folder: Path) -> WorkOutcome:
        if self.kept is not None:
            raise Lost("the worker is gone")
        value = (await self._control("outcome", ticket, run))["outcome"]
        parts = folder / "parts"
        parts.mkdir()
        wanted = [("log", "", int(value["log_bytes"]))]
        for place, files in (("work", value["files"]), ("artifacts", value["artifacts"])):
            wanted += [(place, file["path"], file["size_bytes"]) for file in files]
        try:
            for number, (place, path, size) in enumerate(wanted):
                with (parts / str(number)).open("wb") as part:
                    while part.tell() < size:
                        asked = {"place": place, "path": path, "offset": part.tell()}
                        got = await self._control("read", ticket, run, length=_PIECE, **asked)
                        part.write(got["data"])
        except EngineProblem as error:
            raise Lost(str(error)) from error
        return take_files(value, parts, folder)

    async def forget(self, ticket: Ticket, run: str, worker: str, *, epoch: int) -> None:
        with suppress(EngineProblem):
            await self._control("forget", ticket, run, epoch=epoch)

    async def _control(self, op: str, ticket: Ticket, run: str, **fields: Any) -> dict[str, Any]:
        request = {"op": op, "ticket": str(ticket), "run": run, **fields}
        answer = await trio.to_thread.run_sync(self._agent.control, request)
        if answer["ok"]:
            return answer
        if answer["error"] == "superseded":
            raise Superseded(answer["message"])
        raise EngineProblem(answer["error"], answer["message"])

    def _perform(self, payload: bytes) -> None:
        self._agent.perform(payload, emit=self._emit, worker="w1", host="loopback")

    def _emit(self, event: dict[str, Any]) -> None:
        # The test may be over.
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._take, event)

    def _take(self, event: dict[str, Any]) -> None:
        copy = event["ticket"], event["run"], event["worker"]
        match event["event"]:
            case "asked" if event.get("problem"):
                self._send.send_nowait(Dropped(*copy, event["problem"]))
            case "asked":
                for digest in event["missing"]:
                    self._put(self._submitted[copy[:2]], digest)
                self._send.send_nowait(Asked(*copy, event["host"], event["protocol"]))
            case "printed":
                content = decode_bytes(event["content"])
                self._send.send_nowait(Printed(*copy, event["offset"], content))
            case "ended":
                value = event["outcome"]
                if value is None:
                    named = {"ticket": copy[0], "run": copy[1]}
                    value = self._agent.control({"op": "outcome", **named})["outcome"]
                reason = lost_reason(value)
                if reason is not None:
                    self._send.send_nowait(Dropped(*copy, reason))
                else:
                    self._send.send_nowait(Ended(*copy, checked_outcome(value)))

    def _put(self, submitted: Submission, digest: str) -> None:
        content = submitted.attempt.read_input(submitted.files()[digest]).read_bytes()
        for offset in range(0, max(1, len(content)), _PIECE):
            piece = content[offset : offset + _PIECE]
            answer = self._agent.control(
                {
                    "op": "put",
                    "sha256": digest,
                    "offset": offset,
                    "size": len(content),
                    "data": piece,
                }
            )
            assert answer["ok"], answer


@asynccontextmanager
async def open_loopback(
    folder: Path, *, lease_s: float = 10.0, kept: KeptOutcomes | None = None
) -> AsyncIterator[LoopbackEngine]:
    """An engine in this process, until the block ends.

    With `kept`, the worker's files are in a folder that it shares, and cannot be fetched from it.
    """
    engine = LoopbackEngine(folder, lease_s=lease_s, kept=kept)
    try:
        yield engine
    finally:
        with trio.CancelScope(shield=True):
            await engine.close()

"""A driver as a process: requests and replies over its descriptors, its start and its end.

Each reply has a time limit, and a driver that does not answer a `ping` in time is killed: neither a
hung driver nor a hung engine keeps orc from ending. The driver gets few variables of the
environment, and no key of a provider: whoever controls a worker may control the driver.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import trio

from orc.scheduler.executors.contract import Superseded
from orc.scheduler.executors.errors import EngineProblem, EngineUnreachable, WorkerLeft

_DRIVERS = Path(__file__).parents[1] / "drivers"
_ROOT = Path(__file__).parents[3]
_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "VIRTUAL_ENV")
_LINE_BYTES_MAX = 1 << 27
_CHUNK = 1 << 16
_PING_EVERY_S = 5.0
_PING_S = 15.0
_END_S = 3.0
_WRITE_S = 5.0
_LONGEST_S = 86400.0

Message = dict[str, Any]


def driver_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a driver gets."""
    kept = {name: environment[name] for name in _VARIABLES if name in environment}
    # The driver imports the same orc as this process.
    return {**kept, "PYTHONPATH": str(_ROOT), "PYTHONSAFEPATH": "1"}


class DriverProcess:
    """One process of a driver, from `start` to its end, which `run` waits for."""

    def __init__(self, process: trio.Process, requests: int, messages: int) -> None:
        self._process = process
        self._requests = trio.lowlevel.FdStream(requests)
        self._messages = trio.lowlevel.FdStream(messages)
        self._numbers = count(1)
        self._replies: dict[int, trio.MemorySendChannel[Message]] = {}
        self._writing = trio.Lock()
        self._unsent = bytearray()
        self._has_ended = False

    @classmethod
    async def start(cls, engine: str, environment: Mapping[str, str]) -> DriverProcess:
        """Start the driver of an engine. Raises OSError."""
        requests_read, requests_write = os.pipe()
        messages_read, messages_write = os.pipe()
        try:
            process = await trio.lowlevel.open_process(
                [
                    sys.executable,
                    "-P",
                    str(_DRIVERS / f"{engine}.py"),
                    str(requests_read),
                    str(messages_write),
                ],
                stdin=subprocess.DEVNULL,
                # What the engine's library prints may contain addresses.
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=driver_environment(environment),
                cwd="/",
                start_new_session=True,
                pass_fds=(requests_read, messages_write),
            )
        except BaseException:
            os.close(requests_write)
            os.close(messages_read)
            raise
        finally:
            os.close(requests_read)
            os.close(messages_write)
        return cls(process, requests_write, messages_read)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    async def run(self, take: Callable[[Message], None]) -> None:
        """Pass each event to `take` until the driver has ended, or hangs and was killed."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._check, nursery.cancel_scope)
                await self._read(take)
                nursery.cancel_scope.cancel()
        finally:
            await self._end()

    async def ask(self, op: str, *, timeout_s: float = _LONGEST_S, **fields: Any) -> Message:
        """The reply to a request.

        Raises EngineProblem, EngineUnreachable or WorkerLeft, and Superseded for an order to a worker.
        """
        if self._has_ended:
            raise EngineUnreachable("unreachable", "the driver has ended")
        number = next(self._numbers)
        send, receive = trio.open_memory_channel[Message](1)
        self._replies[number] = send
        try:
            with trio.fail_after(timeout_s):
                await self._write({"id": number, "op": op, **fields})
                reply = await receive.receive()
        except trio.TooSlowError:
            raise EngineUnreachable("timeout", "the engine has not answered in time") from None
        except (trio.EndOfChannel, trio.BrokenResourceError, trio.ClosedResourceError):
            raise EngineUnreachable("unreachable", "the driver has ended") from None
        finally:
            self._replies.pop(number, None)
        if "error" in reply:
            raise _problem(str(reply["error"]), str(reply.get("message", "")))
        return reply

    async def post(self, op: str, **fields: Any) -> None:
        """Send a request that has no reply. Raises EngineUnreachable if the driver has ended."""
        if self._has_ended:
            raise EngineUnreachable("unreachable", "the driver has ended")
        try:
            await self._write({"op": op, **fields})
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise EngineUnreachable("unreachable", "the driver has ended") from None

    async def stop(self) -> None:
        """Ask the driver to end. Shielded and bounded; `run` kills what does not end."""
        with trio.move_on_after(_END_S, shield=True), suppress(EngineProblem):
            await self.ask("close", timeout_s=_END_S)

    async def _write(self, message: Message) -> None:
        self._unsent += json.dumps(message, separators=(",", ":")).encode() + b"\n"
        async with self._writing:
            # What others wanted to send meanwhile goes together.
            lines, self._unsent = self._unsent, bytearray()
            if not lines and self._has_ended:
                raise trio.BrokenResourceError("whoever sent it found that the driver has ended")
            if not lines:
                return
            # Half a line would spoil all that come after it.
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _WRITE_S) as scope:
                await self._requests.send_all(lines)
            if scope.cancelled_caught:
                self.kill()

    async def _read(self, take: Callable[[Message], None]) -> None:
        buffer = bytearray()
        searched = 0
        while True:
            try:
                chunk = await self._messages.receive_some(_CHUNK)
            except trio.BrokenResourceError:
                return
            if not chunk or len(buffer) > _LINE_BYTES_MAX:
                return
            buffer += chunk
            while (end := buffer.find(b"\n", searched)) >= 0:
                message = json.loads(bytes(buffer[:end]))
                del buffer[: end + 1]
                searched = 0
                self._dispatch(message, take)
            searched = len(buffer)

    def _dispatch(self, message: Message, take: Callable[[Message], None]) -> None:
        if "event" in message:
            take(message)
            return
        waiting = self._replies.get(message["id"])
        if waiting is not None:
            with suppress(trio.WouldBlock, trio.BrokenResourceError):
                waiting.send_nowait(message)

    async def _check(self, scope: trio.CancelScope) -> None:
        while True:
            await trio.sleep(_PING_EVERY_S)
            try:
                await self.ask("ping", timeout_s=_PING_S)
            except EngineProblem:
                scope.cancel()
                return

    def kill(self) -> None:
        """Kill the driver's group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _end(self) -> None:
        self._has_ended = True
        with trio.CancelScope(shield=True):
            await self._requests.aclose()
            with trio.move_on_after(_END_S):
                await self._process.wait()
            self.kill()
            await self._process.wait()
            await self._messages.aclose()
        for waiting in list(self._replies.values()):
            waiting.close()


def _problem(kind: str, message: str) -> EngineProblem | Superseded:
    if kind == "superseded":
        return Superseded()
    if kind == "gone":
        return WorkerLeft(kind, message)
    if kind in ("unreachable", "timeout"):
        return EngineUnreachable(kind, message)
    return EngineProblem(kind, message)

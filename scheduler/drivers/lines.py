"""How a driver speaks with orc: requests, replies and events, each a line of JSON on a descriptor.

A request `{"id", "op", ...}` gets the reply `{"id", ...}`, or `{"id", "error", "message"}`; one without
an id gets none. Events have the key `event` and no id. Nothing of an engine is in here: another driver
uses it as it is.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

LINE_BYTES_MAX = 1 << 27
"""The maximum size of a line."""

_REQUESTS_MAX = 1000
_BUFFER_BYTES = 1 << 20

Message = dict[str, Any]


class Refused(Exception):
    """A request cannot be done; `kind` is one word for programs."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Lines:
    """Both directions of one driver."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd, self._write_fd = read_fd, write_fd
        self._writing = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(_REQUESTS_MAX)
        self._out: asyncio.StreamWriter | None = None
        self._unsent = bytearray()

    async def serve(self, answer: Callable[[Message], Awaitable[Message]]) -> None:
        """Answer requests, many at the same time, until end of file or the request `close`."""
        loop = asyncio.get_running_loop()
        incoming = asyncio.StreamReader(limit=LINE_BYTES_MAX)
        await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(incoming), os.fdopen(self._read_fd, "rb", 0)
        )
        transport, protocol = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, os.fdopen(self._write_fd, "wb", 0)
        )
        self._out = asyncio.StreamWriter(transport, protocol, None, loop)
        while line := await incoming.readline():
            request = json.loads(line)
            if request["op"] == "close":
                await self._answer(answer, request)
                break
            if "id" not in request:
                # It waits for nothing.
                await self._answer(answer, request)
                continue
            await self._room.acquire()
            task = asyncio.create_task(self._answer(answer, request))
            self._running.add(task)
            task.add_done_callback(self._ended)
        for task in self._running:
            task.cancel()

    async def send(self, message: Message) -> None:
        """Write a line. It waits while orc does not read."""
        assert self._out is not None
        self._unsent += json.dumps(message, separators=(",", ":")).encode() + b"\n"
        # What others want to send in this turn goes together.
        await asyncio.sleep(0)
        async with self._writing:
            lines, self._unsent = self._unsent, bytearray()
            for start in range(0, len(lines), _BUFFER_BYTES):
                self._out.write(lines[start : start + _BUFFER_BYTES])
                await self._out.drain()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._room.release()

    async def _answer(
        self, answer: Callable[[Message], Awaitable[Message]], request: Message
    ) -> None:
        try:
            reply = await answer(request)
        except Refused as refused:
            reply = {"error": refused.kind, "message": str(refused)}
        except Exception as error:
            # The text of another error may contain what the request did.
            reply = {"error": "failed", "message": f"{type(error).__name__} in {request['op']}"}
        if "id" in request:
            await self.send({"id": request["id"], **reply})

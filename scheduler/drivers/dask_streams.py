"""A stream to a worker of dask.distributed: many small requests, answers and events in few messages.

`orc/worker/dask_streams.py` is the other end. What goes here needs neither a call of its own nor the
scheduler: a message has all that was ready when it was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from distributed import Client
from distributed.comm import connect

from orc.scheduler.drivers.lines import Message
from orc.worker import dask_side

POST_S = 0.1
"""How long a request that was posted waits for a message that leaves."""
_CLOSED = "the stream has ended"

Take = Callable[[Message], Awaitable[None]]


class Stream:
    """One connection. `take` gets the events, in their order."""

    def __init__(self, comm: Any, take: Take) -> None:
        self._comm = comm
        self._take = take
        self._number = 0
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._jobs: list[str] = []
        self._requests: list[tuple[int, Message]] = []
        self._posted: list[tuple[int, Message]] = []
        self._writing: asyncio.Task[None] | None = None
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, client: Client, address: str, jobs: Iterable[str], take: Take) -> Stream:
        """Connect to a worker whose `control` was called before. Raises OSError."""
        comm = await connect(address, **client.connection_args)
        try:
            await comm.write({"op": dask_side.STREAM, "reply": False})
            # A worker without this operation says nothing.
            await comm.read()
        except BaseException:
            comm.abort()
            raise
        stream = cls(comm, take)
        stream.listen(jobs)
        return stream

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent."""
        return not self._reading.done()

    def listen(self, jobs: Iterable[str]) -> None:
        """Hear of the attempts of these jobs, too."""
        self._jobs += jobs
        self._write_soon()

    async def ask(self, request: Message) -> Message:
        """The answer to a request, which may arrive although this raises OSError."""
        if not self.is_open:
            raise OSError(_CLOSED)
        self._number += 1
        number = self._number
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self._requests.append((number, request))
        self._write_soon()
        try:
            return await answer
        finally:
            self._answers.pop(number, None)

    def post(self, request: Message) -> None:
        """Send a request with the next message, or soon. Nobody gets its answer."""
        self._posted.append((0, request))
        if len(self._posted) == 1:
            asyncio.get_running_loop().call_later(POST_S, self._write_soon)

    async def empty(self) -> None:
        """Send what was posted."""
        self._write_soon()
        if self._writing is not None:
            await asyncio.wait([self._writing])

    def close(self) -> None:
        """End the connection."""
        self._reading.cancel()
        self._end()

    def _write_soon(self) -> None:
        if self._writing is None and self.is_open:
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._requests or self._posted or self._jobs:
                message = {"jobs": self._jobs, "requests": self._requests + self._posted}
                self._jobs, self._requests, self._posted = [], [], []
                await self._comm.write(message)
        except OSError:
            self._end()
        finally:
            self._writing = None

    async def _read(self) -> None:
        try:
            while True:
                message = await self._comm.read()
                for number, answer in message["answers"]:
                    waiting = self._answers.get(number)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(answer)
                for event in message["events"]:
                    await self._take(event)
        except Exception:
            # The worker has left, or says what is no message.
            return
        finally:
            self._end()

    def _end(self) -> None:
        self._comm.abort()
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(OSError(_CLOSED))
                # Its owner may have gone: then nobody asks.
                waiting.exception()

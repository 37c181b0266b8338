"""Streams from drivers to this worker of dask.distributed: requests, answers and events in few messages.

A driver that can reach a worker opens a connection of its own and keeps it. What it asks by calls and
hears by the scheduler's topics otherwise goes through this connection, together with what else is
ready at that time. Neither the scheduler nor a log of it sees what goes here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

ANSWER_S = 0.01
"""How long an answer that changes nothing for the driver waits for what else there is to say."""
_LAZY = frozenset({"offer", "allow"})

Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Stream:
    """The connection of one driver, from its first message to its end."""

    def __init__(self, comm: Any, answer: Answer, answer_at_once: Callable[..., Any]) -> None:
        self.jobs: set[str] = set()
        self._comm = comm
        self._answer = answer
        self._answer_at_once = answer_at_once
        self._answers: list[tuple[int, Any]] = []
        self._events: list[Mapping[str, Any]] = []
        self._writing: asyncio.Task[None] | None = None
        self._working: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Answer requests until the driver ends the connection."""
        self._write_soon()
        try:
            while True:
                message = await self._comm.read()
                self.jobs.update(message.get("jobs", ()))
                for number, request in message.get("requests", ()):
                    self._take(number, request)
        except OSError:
            # The driver has ended, or was closed.
            return
        finally:
            for task in [*self._working, *filter(None, [self._writing])]:
                task.cancel()
            self._comm.abort()

    def send_event(self, event: Mapping[str, Any]) -> None:
        """Send an event, in the thread of the loop."""
        self._events.append(event)
        self._write_soon()

    def _take(self, number: int, request: dict[str, Any]) -> None:
        answer = self._answer_at_once(request)
        if answer is not None:
            self._reply(number, answer, is_lazy=request["op"] in _LAZY and "error" not in answer)
            return
        task = asyncio.create_task(self._work(number, request))
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _work(self, number: int, request: dict[str, Any]) -> None:
        self._reply(number, await self._answer(request))

    def _reply(self, number: int, answer: Any, *, is_lazy: bool = False) -> None:
        # The number 0 has a request whose answer nobody waits for.
        if not number:
            return
        self._answers.append((number, answer))
        if not is_lazy:
            self._write_soon()
        elif len(self._answers) == 1:
            # The copy asks in a moment, or ends soon.
            asyncio.get_running_loop().call_later(ANSWER_S, self._write_answers)

    def _write_answers(self) -> None:
        if self._answers:
            self._write_soon()

    def _write_soon(self) -> None:
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        try:
            while True:
                message = {"answers": self._answers, "events": self._events}
                self._answers, self._events = [], []
                await self._comm.write(message)
                if not self._answers and not self._events:
                    return
        except OSError:
            # `serve` ends with the same error.
            return
        finally:
            self._writing = None


class Streams:
    """The streams to one worker."""

    def __init__(self) -> None:
        self._open: frozenset[Stream] = frozenset()

    def add(self, stream: Stream) -> None:
        """Use a stream that was opened."""
        self._open |= {stream}

    def remove(self, stream: Stream) -> None:
        """Forget a stream that has ended."""
        self._open -= {stream}

    def of_job(self, job_id: str) -> list[Stream]:
        """The streams to drivers that follow a job. It may be called in any thread."""
        return [stream for stream in self._open if job_id in stream.jobs]

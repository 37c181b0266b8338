"""Small requests to one worker, several in one call: what comes while a call is under way goes next.

A call costs several processes some milliseconds, which is much beside a short command. A request
that somebody waits for leaves at once; what is only posted goes with the next one, or soon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from orc.scheduler.drivers.lines import Message, Refused

SMALL = frozenset({"allow", "refuse", "cancel", "outcome", "forget"})
"""Operations whose requests and answers are short, and which never wait."""

CALLS_MAX = 2
"""Calls to one worker at a time. A second one, so that a large outcome does not hold up the rest."""
TOGETHER_MAX = 100
POST_S = 0.1
"""How long a request that was posted waits for one that leaves."""


class Lane:
    """The small requests to one worker. `send` makes a call with one request."""

    def __init__(self, send: Callable[[Message], Awaitable[Message]]) -> None:
        self._send = send
        self._waiting: list[tuple[Message, asyncio.Future[Message]]] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._posted: list[tuple[Message, asyncio.Future[Message]]] = []

    async def ask(self, request: Message) -> Message:
        """The answer to a request. Raises Refused."""
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        self._start()
        return await answer

    def post(self, request: Message) -> None:
        """Send a request with the next one that leaves, or within `POST_S`. Nobody gets its answer."""
        loop = asyncio.get_running_loop()
        self._posted.append((request, loop.create_future()))
        if len(self._posted) == 1:
            loop.call_later(POST_S, self._send_posted)

    async def empty(self) -> None:
        """Send what was posted, and wait for the end of all calls."""
        self._send_posted()
        while self._calls:
            await asyncio.wait(self._calls)

    def _send_posted(self) -> None:
        self._waiting += self._posted
        self._posted = []
        self._start()

    def _start(self) -> None:
        if self._waiting and len(self._calls) < CALLS_MAX:
            task = asyncio.create_task(self._run())
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    async def _run(self) -> None:
        while self._waiting:
            self._waiting += self._posted
            self._posted = []
            batch, self._waiting = self._waiting[:TOGETHER_MAX], self._waiting[TOGETHER_MAX:]
            try:
                answers = await self._answers([request for request, _ in batch])
            except Exception as error:
                for _, waiting in batch:
                    if not waiting.done():
                        waiting.set_exception(_same(error))
                        # Its owner may have gone: then nobody asks.
                        waiting.exception()
                continue
            for (_, waiting), answer in zip(batch, answers, strict=True):
                if not waiting.done():
                    waiting.set_result(answer)

    async def _answers(self, requests: list[Message]) -> list[Any]:
        if len(requests) == 1:
            return [await self._send(requests[0])]
        answer = await self._send({"op": "many", "requests": requests})
        return list(answer["answers"])


def _same(error: Exception) -> Exception:
    """The error again: one object must not be raised in several tasks."""
    if isinstance(error, Refused):
        return Refused(error.kind, str(error))
    return Refused("failed", f"{type(error).__name__} in a call")

"""Streams between a driver and a worker: what goes together, what is answered, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

pytest.importorskip("distributed", reason="distributed is not installed")

from orc.scheduler.drivers.dask_streams import Stream
from orc.worker import dask_streams

Message = dict[str, Any]


class Comm:
    """One end of a connection in memory. `sent` are the messages of this end."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.other: Comm = self
        self._arrived: asyncio.Queue[Message | None] = asyncio.Queue()

    async def write(self, message: Message) -> None:
        await asyncio.sleep(0)
        self.sent.append(message)
        self.other._arrived.put_nowait(message)

    async def read(self) -> Message:
        message = await self._arrived.get()
        if message is None:
            raise OSError("the connection was closed")
        return message

    def abort(self) -> None:
        self._arrived.put_nowait(None)
        self.other._arrived.put_nowait(None)


class Pair:
    """A stream with both its ends. The worker answers with the number in the request."""

    def __init__(self) -> None:
        here, there = Comm(), Comm()
        here.other, there.other = there, here
        self.here, self.there = here, there
        self.events: list[Message] = []
        self.asked: list[int] = []
        self.worker = dask_streams.Stream(there, self._answer, self._answer_at_once)
        self.serving = asyncio.create_task(self.worker.serve())
        self.driver = Stream(here, self._take)

    async def _take(self, event: Message) -> None:
        self.events.append(event)

    def _answer_at_once(self, request: Message) -> Message | None:
        self.asked.append(request["number"])
        return None if request["op"] == "read" else {"number": request["number"]}

    async def _answer(self, request: Message) -> Message:
        await asyncio.sleep(0)
        return {"number": request["number"]}


def request(number: int, op: str = "cancel") -> Message:
    return {"op": op, "number": number}


def with_pair(use: Callable[[Pair], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        pair = Pair()
        try:
            await asyncio.wait_for(use(pair), 20)
        finally:
            pair.driver.close()
            await pair.serving

    asyncio.run(run())


def test_what_is_asked_at_the_same_time_goes_in_one_message() -> None:
    async def use(pair: Pair) -> None:
        pair.driver.post(request(3))
        answers = await asyncio.gather(
            pair.driver.ask(request(1)), pair.driver.ask(request(2, "read"))
        )
        assert [*answers] == [{"number": 1}, {"number": 2}]
        assert [len(message["requests"]) for message in pair.here.sent] == [3]
        assert sorted(pair.asked) == [1, 2, 3]

    with_pair(use)


def test_what_was_posted_goes_soon_by_itself_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orc.scheduler.drivers.dask_streams.POST_S", 0.001)

    async def use(pair: Pair) -> None:
        pair.driver.post(request(1))
        while not pair.asked:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        pair.driver.post(request(2))
        await pair.driver.empty()
        assert pair.here.sent[-1]["requests"] == [(0, request(2))]

    with_pair(use)


def test_an_answer_that_can_wait_goes_with_the_event_that_follows() -> None:
    async def use(pair: Pair) -> None:
        waiting = asyncio.create_task(pair.driver.ask(request(1, "allow")))
        while not pair.asked:  # noqa: ASYNC110
            await asyncio.sleep(0)
        pair.worker.send_event({"event": "ended"})
        assert await waiting == {"number": 1}
        message = pair.there.sent[-1]
        assert (len(message["answers"]), len(message["events"])) == (1, 1)
        while not pair.events:  # noqa: ASYNC110
            await asyncio.sleep(0)
        # Without an event, it comes by itself.
        assert await pair.driver.ask(request(2, "offer")) == {"number": 2}

    with_pair(use)


def test_a_worker_knows_the_jobs_of_its_streams() -> None:
    async def use(pair: Pair) -> None:
        streams = dask_streams.Streams()
        streams.add(pair.worker)
        pair.driver.listen(["job"])
        await pair.driver.ask(request(1))
        assert streams.of_job("job") == [pair.worker]
        assert streams.of_job("another") == []
        streams.remove(pair.worker)
        assert streams.of_job("job") == []

    with_pair(use)


def test_a_stream_that_ends_answers_nobody() -> None:
    async def use(pair: Pair) -> None:
        waiting = asyncio.create_task(pair.driver.ask(request(1, "allow")))
        await asyncio.sleep(0)
        pair.there.abort()
        with pytest.raises(OSError, match="ended"):
            await waiting
        assert not pair.driver.is_open
        with pytest.raises(OSError, match="ended"):
            await pair.driver.ask(request(2))

    with_pair(use)

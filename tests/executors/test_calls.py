"""The driver's calls to workers: several requests in one, and by which way they go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from orc.scheduler.drivers import dask_calls
from orc.scheduler.drivers.dask_calls import Lane
from orc.scheduler.drivers.dask_links import Links
from orc.scheduler.drivers.lines import Message

if TYPE_CHECKING:
    from distributed import Client  # it loads slowly


class Worker:
    """Answers each request with its number, and notes the calls."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    async def send(self, request: Message) -> Message:
        requests = request["requests"] if request["op"] == "many" else [request]
        self.calls.append([one["number"] for one in requests])
        await asyncio.sleep(0)
        answers = [{"number": one["number"]} for one in requests]
        return {"answers": answers} if request["op"] == "many" else answers[0]


def request(number: int) -> Message:
    return {"op": "allow", "number": number}


def test_a_request_that_was_posted_goes_with_the_next_one() -> None:
    worker = Worker()

    async def use() -> None:
        lane = Lane(worker.send)
        lane.post(request(1))
        lane.post(request(2))
        assert await lane.ask(request(3)) == {"number": 3}

    asyncio.run(use())
    assert worker.calls == [[3, 1, 2]]


def test_a_request_that_was_posted_goes_soon_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_calls, "POST_S", 0.001)
    worker = Worker()

    async def use() -> None:
        lane = Lane(worker.send)
        lane.post(request(1))
        assert worker.calls == []
        while not worker.calls:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    asyncio.run(use())
    assert worker.calls == [[1]]


def test_the_end_of_a_connection_waits_for_what_was_posted() -> None:
    worker = Worker()

    async def use() -> None:
        lane = Lane(worker.send)
        await lane.empty()
        lane.post(request(1))
        await lane.empty()

    asyncio.run(use())
    assert worker.calls == [[1]]


class FakeClient:
    """Notes by which way a call goes. `breaks` connections of its own."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.ways: list[str] = []
        self.breaks = breaks
        self.is_new = False
        """Whether another process has the worker's address, which was not greeted."""

    def rpc(self, address: str) -> FakeClient:
        return self

    async def _run_there(self, **fields: Any) -> Message:
        self.ways.append("direct")
        if self.breaks:
            raise OSError("the connection is lost")
        return {"status": "OK", "result": {"ok": True}}

    async def orc_control(self, request: Message) -> Message | None:
        return None if self.is_new else (await self._run_there())["result"]

    def run(self, *args: Any, **fields: Any) -> Any:
        if "function" in fields:
            return self._run_there(**fields)
        return self._relay(fields["workers"])

    async def open_stream(self, *arguments: Any) -> Any:
        self.ways.append("stream")
        raise OSError("there is no stream")

    def links(self) -> Links:
        async def take(event: Message) -> None:
            raise AssertionError(event)

        return Links(cast("Client", self), take, open_stream=self.open_stream)

    async def _relay(self, workers: list[str]) -> dict[str, Any]:
        self.ways.append("relayed")
        return {workers[0]: {"ok": True}}


@pytest.mark.parametrize(
    ("address", "ways"),
    [
        ("tcp://127.0.0.1:1", ["direct", "stream", "direct"]),
        ("tls://10.0.0.1:1", ["direct", "stream", "direct"]),
        # Whatever the site file says of the scheduler: this way was not asked for.
        ("tcp://10.0.0.1:1", ["relayed", "relayed"]),
    ],
)
def test_only_a_safe_connection_to_a_worker_is_made(address: str, ways: list[str]) -> None:
    client = FakeClient()

    async def use() -> None:
        links = client.links()
        assert await links.greet(address, {"op": "hello"}) == {"ok": True}
        assert await links.call(address, {"op": "census"}) == {"ok": True}

    asyncio.run(use())
    assert client.ways == ways


def test_the_scheduler_relays_to_a_worker_that_cannot_be_reached() -> None:
    client = FakeClient(breaks=True)
    address = "tcp://127.0.0.1:1"

    async def use() -> None:
        links = client.links()
        await links.greet(address, {"op": "hello"})
        await links.call(address, {"op": "census"})
        client.breaks = False
        await links.greet(address, {"op": "hello"})
        client.breaks = True
        assert await links.call(address, {"op": "census"}) == {"ok": True}
        await links.call(address, {"op": "census"})

    asyncio.run(use())
    assert client.ways == [
        "direct", "relayed", "relayed", "direct", "stream", "direct", "relayed", "relayed",
    ]  # fmt: skip


def test_a_process_that_took_over_an_address_answers_although_it_was_not_greeted() -> None:
    client = FakeClient()
    address = "tcp://127.0.0.1:1"

    async def use() -> None:
        links = client.links()
        await links.greet(address, {"op": "hello"})
        client.is_new = True
        assert await links.call(address, {"op": "census"}) == {"ok": True}

    asyncio.run(use())
    assert client.ways == ["direct", "stream", "direct"]

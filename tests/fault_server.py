"""A real HTTP server on loopback that answers from a script, faults and all.

It runs in the test's own nursery, so the test's clock and cancellation hold for
it too, and it stands where the faults are: at the socket. What is in the script
is sent as it is; whether a client may trust it is what the tests ask.
"""

from __future__ import annotations

import json
import math
import socket
import struct
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any, Literal

import h11
import trio
from msgspec import Struct

_READ_BYTES = 64 * 1024


class Wait(Struct, frozen=True):
    """A silence between two chunks; without a number of seconds, for ever."""

    delay_s: float = math.inf


class Answer(Struct, frozen=True):
    """What the server does with one request.

    After `delay_s` seconds it sends status, headers and chunks, or in their place
    `raw`, which need not be HTTP. Then it ends the body, cuts the connection off
    without an end (FIN), or resets it (RST).
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    chunks: tuple[bytes | Wait, ...] = ()
    delay_s: float = 0.0
    raw: bytes | None = None
    ending: Literal["end", "cut", "reset"] = "end"


class SeenRequest(Struct, frozen=True):
    """A request as it came in; header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)


class FaultServer:
    """Answers the n-th request with the n-th scripted answer, and remembers what it saw.

    `disconnects` counts the clients that left before their answer's end.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.requests: list[SeenRequest] = []
        self.connections = 0
        self.disconnects = 0
        self._script: deque[Answer] = deque()
        self._disconnected = trio.Event()

    def will(self, *answers: Answer) -> None:
        """Adds answers to the script."""
        self._script.extend(answers)

    async def wait_disconnected(self) -> None:
        """Returns once a client has left before its answer's end."""
        await self._disconnected.wait()

    async def serve(self, stream: trio.SocketStream) -> None:
        """Speaks with one client until either side closes."""
        self.connections += 1
        connection = h11.Connection(h11.SERVER)
        try:
            while (request := await _receive(stream, connection)) is not None:
                self.requests.append(request)
                assert self._script, f"the script has no answer to request {len(self.requests)}"
                if not await self._answer(stream, connection, self._script.popleft()):
                    return
                connection.start_next_cycle()
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            return
        finally:
            await trio.aclose_forcefully(stream)

    async def _answer(
        self, stream: trio.SocketStream, connection: h11.Connection, answer: Answer
    ) -> bool:
        """Says whether the connection can serve another request."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, stream, connection, nursery.cancel_scope)
            with suppress(trio.BrokenResourceError):
                await _send(stream, connection, answer)
                nursery.cancel_scope.cancel()
        return connection.our_state is h11.DONE

    async def _watch(
        self, stream: trio.SocketStream, connection: h11.Connection, scope: trio.CancelScope
    ) -> None:
        with suppress(trio.BrokenResourceError):
            while data := await stream.receive_some(_READ_BYTES):
                connection.receive_data(data)
        # The last bytes may reach a client that leaves at once, before this is cancelled.
        if connection.our_state is not h11.DONE:
            self.disconnects += 1
            self._disconnected.set()
        scope.cancel()


async def start_fault_server(nursery: trio.Nursery) -> FaultServer:
    """A server on a free port of loopback, running until the nursery is cancelled."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = FaultServer(listener.socket.getsockname()[1])
    nursery.start_soon(partial(trio.serve_listeners, server.serve, [listener]))
    return server


async def _receive(stream: trio.SocketStream, connection: h11.Connection) -> SeenRequest | None:
    head: h11.Request | None = None
    body = b""
    while True:
        match connection.next_event():
            case h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(_READ_BYTES))
            case h11.Request() as head:
                pass
            case h11.Data() as data:
                body += data.data
            case h11.EndOfMessage():
                assert head is not None
                return SeenRequest(
                    method=head.method.decode(),
                    target=head.target.decode(),
                    headers={name.decode(): value.decode() for name, value in head.headers},
                    body=body,
                )
            case _:
                return None


async def _send(stream: trio.SocketStream, connection: h11.Connection, answer: Answer) -> None:
    await trio.sleep(answer.delay_s)
    if answer.raw is not None:
        await stream.send_all(answer.raw)
    else:
        head = h11.Response(status_code=answer.status, headers=list(answer.headers))
        await stream.send_all(connection.send(head) or b"")
        for chunk in answer.chunks:
            if isinstance(chunk, Wait):
                await trio.sleep(chunk.delay_s)
            else:
                await stream.send_all(connection.send(h11.Data(data=chunk)) or b"")
    if answer.ending == "end" and answer.raw is None:
        await stream.send_all(connection.send(h11.EndOfMessage()) or b"")
    if answer.ending == "reset":
        # Closing without lingering sends RST in place of FIN.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

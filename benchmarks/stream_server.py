"""A server on loopback that streams replies: `python -m benchmarks.stream_server TOKENS RATE`.

It speaks chat completions, writes RATE pieces per second on each connection, and prints its address.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import Any

import trio

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _piece(**fields: Any) -> bytes:
    event = {"id": "c", "object": "chat.completion.chunk", "model": "model-a", **fields}
    return _chunk(f"data: {json.dumps(event)}\n\n".encode())


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _choice(delta: dict[str, Any], reason: str | None = None) -> bytes:
    return _piece(choices=[{"index": 0, "delta": delta, "finish_reason": reason}])


async def _serve(connection: trio.SocketStream, *, tokens: int, rate: float) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}
    end = _choice({}, "stop") + _piece(choices=[], usage=usage)
    end += _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    token, waiting = _choice({"content": " word"}), b""
    while True:
        while b"\r\n\r\n" not in waiting:
            received = await connection.receive_some()
            if not received:
                return
            waiting += received
        head, _, waiting = waiting.partition(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        while len(waiting) < size:
            waiting += await connection.receive_some()
        waiting = waiting[size:]
        await connection.send_all(_HEAD)
        begun_s = trio.current_time()
        for number in range(tokens):
            await connection.send_all(token)
            await trio.sleep_until(begun_s + (number + 1) / rate)
        await connection.send_all(end)


async def _main(tokens: int, rate: float) -> None:
    async with trio.open_nursery() as nursery:
        listen = partial(trio.serve_tcp, host="127.0.0.1")
        serve = partial(_serve, tokens=tokens, rate=rate)
        [listener] = await nursery.start(listen, serve, 0)
        print(f"http://127.0.0.1:{listener.socket.getsockname()[1]}", flush=True)
        # The benchmark closes the standard input when it is done.
        await trio.to_thread.run_sync(sys.stdin.read)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(_main, int(sys.argv[1]), float(sys.argv[2]))

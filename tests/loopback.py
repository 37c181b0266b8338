"""A server of HTTP on loopback, in a thread of its own: the start and the end that all of them share."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class LoopbackServer:
    """The server, as a context manager; the handlers find it as `self.server.owner`."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], *, port: int = 0) -> None:
        self._server = _Server(("127.0.0.1", port), handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        """The address, without a path."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class LoopbackHandler(BaseHTTPRequestHandler):
    """A handler that keeps connections open, answers at once, and prints nothing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def owner(self) -> Any:
        """The server that it answers for."""
        return self.server.owner  # type: ignore[attr-defined]

    def take_get(self) -> None:
        """Answer a GET."""
        raise NotImplementedError

    def take_post(self, content: bytes) -> None:
        """Answer a POST with this body."""
        raise NotImplementedError

    def do_GET(self) -> None:
        self.take_get()

    def do_POST(self) -> None:
        self.take_post(self.rfile.read(int(self.headers.get("content-length") or 0)))

    def log_message(self, *_: Any) -> None:
        """Nothing: a test says what it wants to know."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    owner: LoopbackServer

"""Runs the server of `orc browse`, quietly and until a signal."""

from __future__ import annotations

import io
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from typing import TextIO

from orc.cli.terminal.text import safe_lines, say
from orc.projections.pages.requests import Asgi
from orc.scheduler.stopping import ignored_signals

_SHUTDOWN_S = 1


def serve(
    app: Asgi,
    listener: socket.socket,
    *,
    when_ready: Callable[[], None] = lambda: None,
    when_ended: Callable[[], None] = lambda: None,
) -> None:
    """Serve until a signal ends the server; the signal is then raised again.

    A signal that this process ignores, as under `nohup`, does not end the server.

    `when_ready` is called once, when the server accepts connections; `when_ended` once at the end.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            when_ready()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            try:
                await super().shutdown(sockets)
            finally:
                # uvicorn raises the signal again after this, and it may end the process.
                when_ended()

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            ignored = ignored_signals()
            with super().capture_signals():
                for number in ignored:
                    signal.signal(number, signal.SIG_IGN)
                yield

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    logger = logging.getLogger("uvicorn")
    logger.addHandler(_SafeHandler(logging.WARNING))
    logger.propagate = False
    # Datasette prints errors that quote parts of the requested address.
    with redirect_stderr(_SafeLines(sys.stderr)), listener:
        Server(config).run(sockets=[listener])
    # Only a signal ends the server. uvicorn does not raise one again that came during startup.
    when_ended()
    raise KeyboardInterrupt


def require_threads() -> None:
    """Raise RuntimeError if no thread can be started: each page is made in one."""
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


class _SafeHandler(logging.Handler):
    """Prints log records with `say`."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


class _SafeLines(io.TextIOBase):
    """A stream that writes control characters as visible escapes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(safe_lines(text))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

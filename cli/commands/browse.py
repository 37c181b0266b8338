"""`orc browse`: Datasette with a ledger, served by this process on loopback alone.

The pages come from the plugin in `projections`. This module has the server around them: which
requests it answers, and, with --allow-decisions, the one thing that a page may change.
"""

from __future__ import annotations

import io
import logging
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Awaitable, Callable
from contextlib import redirect_stderr, suppress
from typing import Annotated, Any, TextIO

import typer

from orc.cli.completion import complete_jobs
from orc.cli.errors import UsageProblem
from orc.cli.jobs.browse_decisions import decider
from orc.cli.opening import find_places, read_ledger_and_tables
from orc.cli.options import Database, Json
from orc.cli.terminal.text import put_json, safe_lines, say
from orc.projections.pages.decisions import allow_decisions as allow
from orc.projections.pages.links import DatasetteLinks

HOST = "127.0.0.1"
PORT = 8001
_PORTS_TRIED = 20
_SHUTDOWN_S = 1
_OWN_NAMES = frozenset(("127.0.0.1", "localhost", "[::1]"))
Asgi = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def command(
    job: Annotated[
        str | None,
        typer.Argument(
            help="A job to begin with; default: all of them.",
            metavar="[JOB]",
            autocompletion=complete_jobs,
        ),
    ] = None,
    database: Database = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="The port on 127.0.0.1. Default: 8001, or the next free one.", min=0, max=65535
        ),
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
    allow_decisions: Annotated[
        bool,
        typer.Option(
            "--allow-decisions", help="Let whoever uses this browser decide for waiting steps."
        ),
    ] = False,
    as_json: Json = False,
) -> int:
    """Show the ledger in a browser, until Ctrl-C.

    On this machine only. It only reads, unless decisions are allowed.
    """
    with read_ledger_and_tables(database) as ledger:
        path = ledger.path
        job_id = None if job is None else ledger.find_job(job)
    listener = listen(port)
    # Here, because it takes long to load, and mistakes are told before.
    from datasette.app import Datasette

    datasette = Datasette([str(path)])
    if allow_decisions:
        allow(datasette, decider(find_places(path)))
    # Datasette calls a database by the name of its file.
    name = path.stem
    shown = "/" if job_id is None else DatasetteLinks(datasette, name).job(job_id)
    url = f"{address_of(listener)}{shown}"

    def tell() -> None:
        if as_json:
            put_json({"url": url, "pid": os.getpid()})
        else:
            say(f"{url}    (Ctrl-C ends it)")
        if not no_open:
            open_browser(url)

    serve(datasette.app(), listener, when_ready=tell)
    return 0


def listen(port: int | None) -> socket.socket:
    """A socket on that port of the loopback; without one, on the first free one from 8001 on.

    Raises UsageProblem where the port cannot be had.
    """
    if port is not None:
        try:
            return _bind(port)
        except OSError as error:
            raise UsageProblem(
                f"port {port}: {error.strerror}; name another with --port, or leave it out"
            ) from error
    for candidate in (*range(PORT, PORT + _PORTS_TRIED), 0):
        try:
            return _bind(candidate)
        except OSError:
            continue
    raise UsageProblem(f"no port of {HOST} can be had")


def address_of(listener: socket.socket) -> str:
    """The address at which a browser finds what the socket serves."""
    return f"http://{HOST}:{listener.getsockname()[1]}"


def serve(
    app: Asgi, listener: socket.socket, *, when_ready: Callable[[], None] = lambda: None
) -> None:
    """Answer until a signal comes, which is then raised again. `when_ready` is called once."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            when_ready()

    config = uvicorn.Config(
        only_for_loopback(app),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    logger = logging.getLogger("uvicorn")
    logger.addHandler(_Said(logging.WARNING))
    logger.propagate = False
    # Datasette prints errors with what an address said.
    with redirect_stderr(_SafeLines(sys.stderr)), listener:
        Server(config).run(sockets=[listener])
    # Only a signal ends it; one that came while it began is not raised again by itself.
    raise KeyboardInterrupt


def only_for_loopback(app: Asgi) -> Asgi:
    """The app for those who call this machine by a name of its own.

    Any other name in `Host` is one that somebody else's server gave this address
    (DNS rebinding), whose pages could then read the answers. The port is not asked
    for: a tunnel may have another one, and who rebinds a name has no other name.
    """

    async def guarded(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not _is_own(scope):
            await send(
                {
                    "type": "http.response.start",
                    "status": 421,
                    "headers": [(b"content-type", b"text/plain; charset=utf-8")],
                }
            )
            body = b"This server answers at 127.0.0.1 and localhost only.\n"
            await send({"type": "http.response.body", "body": body})
            return
        await app(scope, receive, send)

    return guarded


def open_browser(url: str) -> None:
    """Open the address in the person's browser, where there is one with a window.

    In a thread: some browsers are waited for, and they wait for this server.
    """
    has_window = sys.platform == "darwin" or any(
        name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    if has_window:
        threading.Thread(target=_open, args=(url,), daemon=True).start()


def _open(url: str) -> None:
    # Without one, the address is printed all the same.
    with suppress(webbrowser.Error, OSError):
        webbrowser.open(url)


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener


def _is_own(scope: dict[str, Any]) -> bool:
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1:
        return False
    name, _, port = hosts[0].decode("latin-1").lower().rpartition(":")
    if not port.isdigit():
        name = hosts[0].decode("latin-1").lower()
    return name in _OWN_NAMES


class _Said(logging.Handler):
    """Log records as talk."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


class _SafeLines(io.TextIOBase):
    """A stream whose readers get no character that a terminal obeys."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(safe_lines(text))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

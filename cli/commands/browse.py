"""`orc browse`: serves the ledger with Datasette, on loopback only.

The Datasette plugin in `projections` renders the pages. This module has the server: it checks the
`Host` of each request and, with --allow-decisions, lets pages decide for steps that wait.
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
from orc.cli.ledger_access import find_places, read_ledger_and_tables
from orc.cli.options import Database, Json
from orc.cli.terminal.text import put_json, safe_lines, say
from orc.ledger.scarcity import find_shortage
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
            help="The job whose page is opened. Default: the list of jobs.",
            metavar="[JOB]",
            autocompletion=complete_jobs,
        ),
    ] = None,
    database: Database = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="The port on 127.0.0.1. Default: 8001, else the next free port.",
            min=0,
            max=65535,
        ),
    ] = None,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Print the address; do not open a browser.")
    ] = False,
    allow_decisions: Annotated[
        bool,
        typer.Option(
            "--allow-decisions",
            help="Show forms that approve or reject steps; anyone who can open the pages can use them.",
        ),
    ] = False,
    as_json: Json = False,
) -> int:
    """Show the ledger in a web browser, until Ctrl-C.

    The pages are served on this machine only (127.0.0.1). They are read-only unless
    --allow-decisions is given.
    """
    with read_ledger_and_tables(database) as ledger:
        path = ledger.path
        job_id = None if job is None else ledger.find_job(job)
    _require_threads()
    listener = listen(port)
    # Imported here, since Datasette loads slowly: errors in the arguments are reported first.
    from datasette.app import Datasette

    datasette = Datasette([str(path)])
    if allow_decisions:
        allow(datasette, decider(find_places(path)))
    # Datasette names a database after its file.
    name = path.stem
    shown = "/" if job_id is None else DatasetteLinks(datasette, name).job(job_id)
    url = f"{address_of(listener)}{shown}"

    def print_address() -> None:
        if as_json:
            put_json({"url": url, "pid": os.getpid()})
        else:
            say(f"{url}    (press Ctrl-C to stop)")
        if not no_open:
            open_browser(url)

    serve(datasette.app(), listener, when_ready=print_address)
    return 0


def listen(port: int | None) -> socket.socket:
    """A listening socket on this port of 127.0.0.1; for None, on the first free port from 8001 on.

    Raises UsageProblem if the port cannot be used.
    """
    if port is not None:
        try:
            return _bind(port)
        except OSError as error:
            raise UsageProblem(
                f"--port {port}: {error.strerror}; name another port, or leave out --port"
            ) from error
    for candidate in (*range(PORT, PORT + _PORTS_TRIED), 0):
        try:
            return _bind(candidate)
        except OSError:
            continue
    raise UsageProblem(f"no port of {HOST} is free; close another program, or name one with --port")


def address_of(listener: socket.socket) -> str:
    """The URL of the socket."""
    return f"http://{HOST}:{listener.getsockname()[1]}"


def serve(
    app: Asgi, listener: socket.socket, *, when_ready: Callable[[], None] = lambda: None
) -> None:
    """Serve until a signal ends the server; the signal is then raised again.

    `when_ready` is called once, when the server accepts connections.
    """
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
    logger.addHandler(_SafeHandler(logging.WARNING))
    logger.propagate = False
    # Datasette prints errors that quote parts of the requested address.
    with redirect_stderr(_SafeLines(sys.stderr)), listener:
        Server(config).run(sockets=[listener])
    # Only a signal ends the server. uvicorn does not raise one again that came during startup.
    raise KeyboardInterrupt


def only_for_loopback(app: Asgi) -> Asgi:
    """The app, behind a check that `Host` is a name of the loopback address; else status 421.

    This prevents DNS rebinding: a foreign site can make its own name resolve to 127.0.0.1, and its
    pages could then read the responses. The port in `Host` is not checked, since a tunnel may
    use another port, and a rebound name is refused with every port.
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
    """Open the address in the user's web browser, if a graphical one is available.

    It runs in a thread: `webbrowser` may wait for the browser, which waits for this server.
    """
    has_window = sys.platform == "darwin" or any(
        name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    if has_window:
        try:
            threading.Thread(target=_open, args=(url,), daemon=True).start()
        except RuntimeError as error:
            say(f"the browser was not opened: {find_shortage(error) or error}")


def _require_threads() -> None:
    """Raise RuntimeError if no thread can be started: each page is made in one."""
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


def _open(url: str) -> None:
    # An error is ignored: the address was printed.
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

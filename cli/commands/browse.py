"""The command that shows a ledger in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import Database, Json, read_ledger


def browse(
    database: Database = None,
    port: Annotated[int, typer.Option(help="The port on 127.0.0.1.")] = 8001,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
    as_json: Json = False,
) -> int:
    """Show the ledger in Datasette, on this machine only."""
    import os
    import sys

    from cli.text import put_json, say

    with read_ledger(database) as ledger:
        path = ledger.path
    arguments = [sys.executable, "-m", "datasette", "serve", str(path)]
    arguments += ["--host", "127.0.0.1", "--port", str(port)]
    if not no_open:
        arguments.append("--open")
    url = f"http://127.0.0.1:{port}/"
    if as_json:
        put_json({"url": url, "pid": os.getpid()})
    else:
        say(f"{url}    (Ctrl-C ends it)")
    os.execv(sys.executable, arguments)

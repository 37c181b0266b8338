"""The command that shows a ledger in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from orc.cli.options import Database, Json, complete_jobs, find_places, read_ledger_and_tables


def browse(
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
    import os

    from datasette.app import Datasette

    from orc.cli.browsing import address_of, listen, open_browser, serve
    from orc.cli.terminal.text import put_json, say
    from orc.projections.pages.decisions import allow_decisions as allow
    from orc.projections.pages.links import DatasetteLinks

    with read_ledger_and_tables(database) as ledger:
        path = ledger.path
        job_id = None if job is None else ledger.find_job(job)
    listener = listen(port)
    datasette = Datasette([str(path)])
    if allow_decisions:
        from orc.cli.jobs.browse_decisions import decider

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

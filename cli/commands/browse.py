"""`orc browse`: serves the ledger with Datasette, to the browsers that opened its one-time links.

The Datasette plugin in `projections` renders the pages. `cli/browse` has the server: who may connect
to it, and how a browser gets in. With --allow-decisions, pages decide for steps that wait,
and record scores; with --allow-actions, they also act on jobs (`cli/jobs/acting`).
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from orc.cli.browse.enter_key import on_enter
from orc.cli.browse.opening import Opener
from orc.cli.browse.peers import is_own_user
from orc.cli.browse.sessions import Sessions
from orc.cli.errors import UsageProblem
from orc.cli.ledger_access import database_path, find_places, read_ledger_and_tables
from orc.cli.options import Database, EnvFile, Json
from orc.cli.parameters import Argument, Option
from orc.cli.terminal.text import put_json, safe, say
from orc.ledger.connection import source_to_read


def command(
    job: Annotated[
        str | None,
        Argument(
            help="The job whose page is opened. Default: the list of jobs.",
            metavar="JOB",
            complete="complete_jobs",
        ),
    ] = None,
    database: Database = None,
    env_file: EnvFile = None,
    port: Annotated[
        int | None,
        Option(
            help="The port on 127.0.0.1. Default: 8001, else the next free port.",
            min=0,
            max=65535,
        ),
    ] = None,
    uds: Annotated[
        Path | None,
        Option(
            help="Listen on a Unix socket that only you can open, and on no port. Its folder must be "
            "yours alone.",
            metavar="PATH",
        ),
    ] = None,
    no_open: Annotated[
        bool, Option("--no-open", help="Print the link; do not open a browser.")
    ] = False,
    allow_decisions: Annotated[
        bool,
        Option(
            "--allow-decisions",
            help="Show forms that approve or reject steps and score results; anyone who can open the "
            "pages can use them.",
        ),
    ] = False,
    allow_actions: Annotated[
        bool,
        Option(
            "--allow-actions",
            help="Show forms that resume, cancel, rerun and fork jobs, and those of "
            "--allow-decisions; anyone who can open the pages can run the commands of a spec as you.",
        ),
    ] = False,
    specs: Annotated[
        Path | None,
        Option(
            help="With --allow-actions: the folder whose specs the pages can start.",
            metavar="DIR",
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Show the ledger in a web browser, until Ctrl-C.

    The pages are served on this machine only (127.0.0.1), and only to a browser that opened the
    printed link. A link works once; press Enter for another one. The pages are read-only unless
    --allow-decisions or --allow-actions is given.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.browse.gate import PARAMETER, gated
    from orc.cli.browse.server import require_threads, serve
    from orc.cli.browse.sockets import address_of, listen, listen_at
    from orc.cli.jobs.assess.browse_scores import scorer
    from orc.cli.jobs.browse_decisions import decider
    from orc.cli.terminal.problems import problem_lines
    from orc.projections.pages.actions import allow_actions as allow_acting
    from orc.projections.pages.decisions import allow_decisions as allow_persons
    from orc.projections.pages.links import DatasetteLinks

    if uds is not None and port is not None:
        raise UsageProblem("--uds and --port cannot be used together; leave out one of them")
    _check_specs(specs, allow_actions=allow_actions)
    if specs is not None and job is None and not database_path(database).exists():
        # The first job may be started on a page.
        from orc.cli.jobs.places import open_for_writing

        open_for_writing(find_places(database), os.environ, create=True).close()
    with read_ledger_and_tables(database) as ledger:
        path = ledger.path
        job_id = None if job is None else ledger.find_job(job)
    require_threads()
    with ExitStack() as at_end:
        unix = None if uds is None else listen_at(uds)
        if unix is not None:
            at_end.callback(unix.remove)
        listener = listen(port) if unix is None else unix.listener
        # Imported here, since Datasette loads slowly: errors in the arguments are reported first.
        from datasette.app import Datasette

        # A ledger of another user is served in a form in which nothing is created beside it.
        source = source_to_read(path)
        at_end.callback(source.close)
        served = [str(source.path)]
        datasette = Datasette([], immutables=served) if source.is_fixed else Datasette(served)
        if allow_decisions or allow_actions:
            places = find_places(path)
            allow_persons(datasette, decide=decider(places), score=scorer(places))
        if allow_actions:
            # Imported here: it loads all that runs jobs.
            from orc.cli.jobs.acting.browse_actions import BrowserActions

            folder = None if specs is None else specs.absolute()
            allow_acting(datasette, BrowserActions(places, folder, problem_lines))
        # Datasette names a database after its file.
        page = "/" if job_id is None else DatasetteLinks(datasette, path.stem).job(job_id)
        sessions, opener = Sessions(), Opener()
        at_end.callback(opener.remove_files)

        def new_link() -> str:
            query = urlencode({PARAMETER: sessions.new_token()})
            return f"{address_of(listener)}{page}#{query}"

        def print_link(url: str) -> None:
            if as_json:
                socket = {} if unix is None else {"socket": str(unix.path)}
                put_json({"url": url, "pid": os.getpid(), **socket})
            else:
                say(url)

        def start() -> None:
            url = new_link()
            print_link(url)
            more = on_enter(lambda: print_link(new_link()))
            if not as_json:
                if unix is not None:
                    say(f"It answers at {safe(unix.path)}: ssh -L 8001:{safe(unix.path)} HOST")
                enter = "Enter for another one, " if more else ""
                say(f"The link works once. Press {enter}Ctrl-C to stop.")
            if not no_open and unix is None:
                opener.open(url)

        app = gated(datasette.app(), sessions, is_own_user=is_own_user)
        serve(app, listener, when_ready=start, when_ended=at_end.close)
    return 0


def _check_specs(specs: Path | None, *, allow_actions: bool) -> None:
    """Raise UsageProblem if the folder of specs cannot be used."""
    if specs is None:
        return
    if not allow_actions:
        raise UsageProblem(
            "--specs has no effect without --allow-actions; add it, or leave out --specs"
        )
    if not specs.is_dir():
        raise UsageProblem(f"--specs {specs}: there is no such folder; name one that has specs")

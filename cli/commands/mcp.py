"""`orc mcp`: serves tools about the ledger to a program with a model, over stdin and stdout."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from orc.about import install_command
from orc.cli.errors import EnvironmentProblem, UsageProblem
from orc.cli.ledger_access import find_places
from orc.cli.options import Database, EnvFile
from orc.cli.parameters import Option


def command(
    specs: Annotated[
        Path | None,
        Option(
            "--specs",
            help="A folder: the specs below it can be validated and planned and, with "
            "--allow-actions, run. Default: none can.",
            metavar="DIR",
        ),
    ] = None,
    allow_actions: Annotated[
        bool,
        Option(
            "--allow-actions",
            help="Add tools that run specs, resume jobs, and approve or reject steps. A run may cost "
            "money and run commands.",
        ),
    ] = False,
    database: Database = None,
    env_file: EnvFile = None,
    as_json: Annotated[
        bool, Option("--json", help="Accepted as everywhere: the protocol is JSON.")
    ] = False,
) -> int:
    """Serve the ledger to MCP clients over stdin and stdout.

    The tools only read, unless --allow-actions is given. A client starts this command; docs/mcp.md
    has the settings of some.
    """
    # Imported here: completion, help and an error of the line need only the options.
    import trio

    if find_spec("mcp") is None:
        raise EnvironmentProblem(f"the package mcp is not installed: {install_command('mcp')}")
    if specs is not None and not specs.is_dir():
        raise UsageProblem(
            f"--specs {specs}: there is no such folder; name one that has your specs"
        )
    # Imported here, since it loads slowly and belongs to an extra.
    from orc.cli.mcp.server import Serves, build_server

    folder = None if specs is None else specs.absolute()
    server = build_server(Serves(find_places(database).database, folder, allow_actions))
    trio.run(server.run_stdio_async)
    return 0

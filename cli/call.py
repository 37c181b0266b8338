"""Calls the function of a command, whichever way its command line was read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orc.cli.collector import start_collector
from orc.cli.errors import UsageProblem
from orc.ledger.command_lines import ledger_named
from orc.ledger.files.descriptors import DASH


def call_command(call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
    """What `call` returns. An unexpected error of a damaged ledger becomes CorruptLedger.

    Raises UsageProblem if two arguments are `-`: stdin is read once.
    """
    start_collector()
    given = [
        one
        for value in arguments.values()
        for one in (value if isinstance(value, list) else [value])
    ]
    if given.count(DASH) > 1:
        raise UsageProblem("- is given twice, and stdin can be read only once; name a file")
    try:
        with ledger_named(arguments.get("database")):
            return call()
    except Exception as error:
        # Imported here, since they are rarely needed and load slowly.
        from orc.cli.exit_codes import code_for_error

        if "database" in arguments and code_for_error(error) is None:
            from orc.cli.jobs.damage import explain
            from orc.cli.ledger_access import database_path

            explain(error, database_path(arguments["database"]))
        raise

"""Calls the function of a command, whichever way its command line was read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orc.cli.collector import start_collector
from orc.ledger.command_lines import ledger_named


def call_command(call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
    """What `call` returns. An unexpected error of a damaged ledger becomes CorruptLedger."""
    start_collector()
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

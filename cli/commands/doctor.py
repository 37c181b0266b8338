"""`orc doctor`: checks versions, packages, the ledger, prices and providers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from orc.cli.ledger_access import database_path
from orc.cli.options import Database, EnvFile, Json
from orc.cli.parameters import Argument
from orc.cli.terminal.paragraphs import hanging
from orc.cli.terminal.text import put, put_json, safe
from orc.ledger.exit_codes import ENVIRONMENT, SUCCEEDED

_INDENT = " " * 6
"""The level takes the first six characters of a line."""


def command(
    spec: Annotated[
        Path | None,
        Argument(
            help="A spec, whose named servers are checked.",
            metavar="SPEC",
            complete="complete_specs",
        ),
    ] = None,
    database: Database = None,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> int:
    """Check versions, packages, the ledger, prices and providers.

    Each line starts with `ok`, `note` or `bad`. Exits 7 if anything is bad.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.doctor.health import examine

    findings = examine(database_path(database), os.environ, spec)
    bad = [finding for finding in findings if finding.level == "bad"]
    if as_json:
        put_json({"healthy": not bad, "findings": [finding.as_json() for finding in findings]})
    else:
        for finding in findings:
            said = f"{safe(finding.name)}: {safe(finding.message)}"
            put(f"{finding.level:<5} {hanging(said, indent=_INDENT)}")
    return ENVIRONMENT if bad else SUCCEEDED

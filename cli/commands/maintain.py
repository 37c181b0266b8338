"""Commands about the ledger itself: verify, rebuild, doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from orc.cli.options import Database, Json, database_path, find_places


def verify(
    job: Annotated[
        str | None, typer.Argument(help="A job; default: all of them.", metavar="[JOB]")
    ] = None,
    heads: Annotated[
        list[str] | None,
        typer.Option(
            "--head",
            help="A head that is known from elsewhere; with JOB, its HASH is enough.",
            metavar="[JOB=]HASH",
        ),
    ] = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Check hash chains, blobs, tables and published files.

    Exits 5 when anything differs. A cut-off tail, or a job that is gone, shows only against a
    head that is known from elsewhere: from the run folder, or by --head.
    """
    from orc.cli.verifying import verify_ledger

    return verify_ledger(
        database_path(database),
        job,
        heads or [],
        prices=find_places(database).prices,
        as_json=as_json,
    )


def rebuild(database: Database = None, as_json: Json = False) -> int:
    """Derive the tables anew from the events."""
    from orc.cli.jobs.wiring import open_for_writing
    from orc.cli.terminal.text import put_json, say

    with open_for_writing(find_places(database)) as ledger:
        count = ledger.rebuild()
    if as_json:
        put_json({"events": count})
    else:
        say(f"tables rebuilt from {count} events")
    return 0


def doctor(database: Database = None, as_json: Json = False) -> int:
    """Say what this installation has, and what is missing."""
    import os

    from orc.cli.doctor.health import examine
    from orc.cli.terminal.text import put, put_json, safe
    from orc.ledger.exit_codes import ENVIRONMENT, SUCCEEDED

    findings = examine(database_path(database), os.environ)
    bad = [finding for finding in findings if finding.level == "bad"]
    if as_json:
        put_json({"healthy": not bad, "findings": [finding.as_json() for finding in findings]})
    else:
        for finding in findings:
            put(f"{finding.level:<5} {safe(finding.name)}: {safe(finding.message)}")
    return ENVIRONMENT if bad else SUCCEEDED

"""Commands about the ledger itself: verify, rebuild, export, doctor."""
"""Commands about the ledger itself: verify, rebuild, browse, doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import Database, Json, database_path, find_places, read_ledger


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
    from cli.verifying import verify_ledger

    return verify_ledger(
        database_path(database),
        job,
        heads or [],
        prices=find_places(database).prices,
        as_json=as_json,
    )


def rebuild(database: Database = None, as_json: Json = False) -> int:
    """Derive the tables anew from the events."""
    from cli.text import put_json, say
    from cli.wiring import open_for_writing

    with open_for_writing(find_places(database)) as ledger:
        count = ledger.rebuild()
    if as_json:
        put_json({"events": count})
    else:
        say(f"tables rebuilt from {count} events")
    return 0


def export(
    job: Job,
    to: Annotated[
        Path | None, typer.Option("--to", help="A folder for it; default: the run folder itself.")
    ] = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Publish a job's folder from the ledger alone."""
    from cli.folders import folder_of
    from cli.submission import UsageProblem
    from cli.text import put_json, safe, say
    from ledger import has_owner
    from projections import Publisher

    prices = find_places(database).prices
    with read_ledger(database) as ledger:
        job_id = ledger.find_job(job)
        folder = to.absolute() if to is not None else folder_of(ledger, job_id)
        if to is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageProblem(f"{folder} is there and not an empty folder; name another")
        # The artifacts of a job that runs are its commands' until they end.
        is_live = to is None and has_owner(ledger.path, job_id)
        publisher = Publisher(ledger, job_id, folder, prices=prices)
        if to is None and not is_live:
            publisher.sweep()
        publisher.publish(final=not is_live)
        lost = publisher.lost()
    if as_json:
        put_json({"job_id": job_id, "folder": str(folder), "lost": list(lost)})
    else:
        say(f"{job_id} is in {safe(folder)}")
        for path, why in list(lost.items())[:20]:
            say(f"  without {safe(path)}: {safe(why)}")
        if len(lost) > 20:
            say(f"  and without {len(lost) - 20} more; --json names them")
    return 0
def browse(
    port: Annotated[int, typer.Option(help="The port on 127.0.0.1.")] = 8001,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
    """Show the ledger in Datasette, on this machine only."""
    import os
    import sys
    from cli.text import put_json, say
        path = ledger.path
    arguments = [sys.executable, "-m", "datasette", "serve", str(path)]
    arguments += ["--host", "127.0.0.1", "--port", str(port)]
    if not no_open:
        arguments.append("--open")
    url = f"http://127.0.0.1:{port}/"
        put_json({"url": url, "pid": os.getpid()})
        say(f"{url}    (Ctrl-C ends it)")
    os.execv(sys.executable, arguments)


def doctor(database: Database = None, as_json: Json = False) -> int:
    """Say what this installation has, and what is missing."""
    import os

    from cli.exits import ENVIRONMENT, SUCCEEDED
    from cli.health import examine
    from cli.text import put, put_json, safe

    findings = examine(database_path(database), os.environ)
    bad = [finding for finding in findings if finding.level == "bad"]
    if as_json:
        put_json({"healthy": not bad, "findings": [finding.as_json() for finding in findings]})
    else:
        for finding in findings:
            put(f"{finding.level:<5} {safe(finding.name)}: {safe(finding.message)}")
    return ENVIRONMENT if bad else SUCCEEDED

"""Commands about the ledger itself: verify, rebuild, export, browse, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.options import Database, Job, Json, database_path, find_places, read_ledger


def verify(
    job: Annotated[
        str | None, typer.Argument(help="A job; default: all of them.", metavar="[JOB]")
    ] = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Check hash chains, blobs and published files.

    Exits 5 when anything differs.
    """
    from cli.exits import SUCCEEDED, VERIFICATION
    from cli.text import put_json, safe, say
    from projections import verify_job

    code = SUCCEEDED
    prices = find_places(database).prices
    with read_ledger(database) as ledger:
        jobs = [ledger.find_job(job)] if job else _all_jobs(ledger)
        for job_id in jobs:
            folder = _folder_of(ledger, job_id)
            verdict = verify_job(ledger, job_id, folder=folder, prices=prices)
            code = VERIFICATION if verdict.problems else code
            if as_json:
                put_json(
                    {
                        "job_id": job_id,
                        "events": verdict.events,
                        "head": verdict.head,
                        "problems": list(verdict.problems),
                    }
                )
                continue
            good = f"{job_id}: {verdict.events} events, head {verdict.head[:12]}..., intact"
            say(good if not verdict.problems else f"{job_id}: {len(verdict.problems)} problem(s)")
            for problem in verdict.problems:
                say(f"  {safe(problem)}")
    if not as_json:
        say("A cut-off tail or a whole removed job shows only against a head known from elsewhere.")
    return code


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
    from cli.submission import UsageProblem
    from cli.text import put_json, safe, say
    from ledger import has_owner
    from projections import Publisher

    prices = find_places(database).prices
    with read_ledger(database) as ledger:
        job_id = ledger.find_job(job)
        folder = to.absolute() if to is not None else _folder_of(ledger, job_id)
        if to is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageProblem(f"{folder} is there and not an empty folder; name another")
        # The artifacts of a job that runs are its commands' until they end.
        is_live = to is None and has_owner(ledger.path, job_id)
        Publisher(ledger, job_id, folder, prices=prices).publish(final=not is_live)
    if as_json:
        put_json({"job_id": job_id, "folder": str(folder)})
    else:
        say(f"{job_id} is in {safe(folder)}")
    return 0


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


def _all_jobs(ledger: Any) -> list[str]:
    rows = ledger.connection.execute("SELECT job_id FROM events WHERE version = 1").fetchall()
    return [row[0] for row in rows]


def _folder_of(ledger: Any, job_id: str) -> Path:
    row = ledger.connection.execute(
        "SELECT runs_dir FROM jobs WHERE job_id = ?", (job_id,)
    ).fetchone()
    return Path(row[0]) / job_id if row else ledger.path.parent / "runs" / job_id

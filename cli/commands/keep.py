"""Commands that keep a ledger: prune, redact, backup, bundle, import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orc.cli.options import Database, Job, Json, database_path, find_places, read_ledger

TargetFile = Annotated[Path, typer.Argument(help="The new file.", metavar="FILE")]
ReplaceFile = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]

Yes = Annotated[
    bool, typer.Option("--yes", help="Do it; without this, only say what would be done.")
]
Reason = Annotated[
    str | None, typer.Option(help="Why, for the event that tells of it.", metavar="TEXT")
]


def prune(
    older_than: Annotated[
        str | None,
        typer.Option(help="Jobs whose last event is older: 30d, 12h.", metavar="DURATION"),
    ] = None,
    jobs: Annotated[
        list[str] | None,
        typer.Option(
            "--job", help="Only this job, ended or not; may be given again.", metavar="JOB"
        ),
    ] = None,
    files: Annotated[
        bool, typer.Option("--files", help="Also remove the published files with these bytes.")
    ] = False,
    reason: Reason = None,
    yes: Yes = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Remove the blobs of old jobs.

    These are prompts, replies, outputs, logs and files. Events stay, and the hash chain with
    them; each job is told by an event. What another job needs stays, and so do specs.
    """
    import time

    from orc.cli.errors import UsageProblem
    from orc.cli.jobs.remove import carry_out, refuse_left_out, tell
    from orc.cli.jobs.wiring import open_for_writing
    from orc.projections.removal_plan import plan_prune
    from orc.scheduler.clock import format_time

    if older_than is None and not jobs:
        raise UsageProblem("say which jobs: --older-than 30d, or --job JOB")
    before = None
    if older_than is not None:
        before = format_time(time.time() - _age_s(older_than))
    places = find_places(database)
    with open_for_writing(places) as ledger:
        named = [ledger.find_job(job) for job in jobs or ()]
        plan = plan_prune(ledger, before=before, named=named)
        refuse_left_out(ledger, plan, named)
        done = None
        if yes:
            done = carry_out(ledger, plan, reason=reason, files=files, prices=places.prices)
    again = ["orc prune", *([f"--older-than {older_than}"] if older_than else [])]
    again += [f"--job {job}" for job in named]
    tell(plan, done, again=" ".join(again), as_json=as_json)
    return 0


def _age_s(text: str) -> float:
    """An age in seconds: a duration, or days without an upper limit. Raises UsageProblem."""
    import re

    from orc.cli.errors import UsageProblem
    from orc.scheduler.core.durations import parse_duration

    days = re.fullmatch(r"([0-9]{1,5})d", text)
    try:
        return float(days[1]) * 86400 if days else parse_duration(text)
    except ValueError as error:
        raise UsageProblem(f"--older-than {text}: {error}") from None


def redact(
    digests: Annotated[
        list[str],
        typer.Argument(help="The SHA-256 of bytes, or 8 of its digits.", metavar="DIGEST"),
    ],
    jobs: Annotated[
        list[str] | None,
        typer.Option(
            "--job", help="This job, although it has not ended; may be given again.", metavar="JOB"
        ),
    ] = None,
    reason: Reason = None,
    yes: Yes = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Remove bytes that nobody may see.

    They go from the ledger and from the run folders. The events stay, and the hash chain with
    them; each job that names the bytes is told by an event. The file is written anew, so no
    job of the ledger may be running.
    """
    from orc.cli.jobs.remove import carry_out, find_digest, refuse_left_out, refuse_unnamed, tell
    from orc.cli.jobs.wiring import open_for_writing
    from orc.ledger.exit_codes import ENVIRONMENT, SUCCEEDED
    from orc.projections.removal_plan import plan_redaction

    places = find_places(database)
    with open_for_writing(places) as ledger:
        found = {find_digest(ledger, digest) for digest in digests}
        named = [ledger.find_job(job) for job in jobs or ()]
        plan = plan_redaction(ledger, found, named=named)
        refuse_left_out(ledger, plan, named)
        refuse_unnamed(plan, found)
        done = None
        if yes:
            done = carry_out(ledger, plan, reason=reason, files=True, prices=places.prices)
    again = ["orc redact", *digests, *(f"--job {job}" for job in named)]
    tell(plan, done, again=" ".join(again), as_json=as_json)
    return SUCCEEDED if done is None or done.is_compact else ENVIRONMENT


def backup(
    file: TargetFile,
    force: ReplaceFile = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Copy the whole ledger to a file, while jobs go on.

    The copy is checked before it gets its name. Run folders are not copied: orc export makes
    them again.
    """
    from orc.cli.terminal.text import put_json, safe, say
    from orc.ledger.transport.backup import write_backup

    done = write_backup(database_path(database), file.absolute(), force=force)
    if as_json:
        put_json(
            {
                "file": str(file.absolute()),
                "jobs": done.jobs,
                "events": done.events,
                "size_bytes": done.size_bytes,
            }
        )
    else:
        counted = f"{done.jobs} job(s), {done.events} events, {done.size_bytes} bytes"
        say(f"{safe(file)}: {counted}, checked")
    return 0


def bundle(
    job: Job,
    file: TargetFile,
    force: ReplaceFile = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Write one job to a file, for orc import elsewhere."""
    from orc.cli.jobs.bundle import bundle_job
    from orc.cli.terminal.text import put_json, safe, say

    prices = find_places(database).prices
    with read_ledger(database) as ledger:
        job_id = ledger.find_job(job)
        head = bundle_job(ledger, job_id, file.absolute(), prices=prices, force=force)
    if as_json:
        put_json(
            {
                "job_id": job_id,
                "file": str(file.absolute()),
                "events": head.version,
                "head": head.hash,
            }
        )
    else:
        say(f"{job_id}: {head.version} events, head {head.hash[:12]}..., in {safe(file)}")
        say(f"elsewhere: orc import {safe(file.name)}")
    return 0


def import_(
    file: Annotated[Path, typer.Argument(help="A file that orc bundle wrote.", metavar="FILE")],
    trust: Annotated[
        bool,
        typer.Option("--trust", help="The job's commands may run here: you trust its author."),
    ] = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Take a bundled job into this ledger, after checking all of it.

    Its chain stays the same. A job that is here with another history is refused with exit
    code 5. Without --trust it can be looked at, and not run.
    """
    from orc.cli.jobs.bundle import import_bundle
    from orc.cli.terminal.text import put_json, safe, say

    places = find_places(database)
    done = import_bundle(file.absolute(), places.database, prices=places.prices, is_trusted=trust)
    if as_json:
        put_json(
            {
                "job_id": done.job_id,
                "events_before": done.before,
                "events": done.after,
                "trusted": done.is_trusted,
            }
        )
        return 0
    if done.before == 0:
        say(f"{done.job_id}: {done.after} events imported")
    elif done.before < done.after:
        say(f"{done.job_id}: was here up to event {done.before}; now up to event {done.after}")
    else:
        say(f"{done.job_id}: already here, with {done.after} events")
    if not done.is_trusted:
        say(f"orc resume refuses it until: orc import {safe(file)} --trust")
    say(f"next: orc show {done.job_id}")
    return 0

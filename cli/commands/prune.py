"""`orc prune`: removes the blobs of old jobs."""

from __future__ import annotations

import re
import time
from typing import Annotated

import typer

from orc.cli.errors import UsageProblem
from orc.cli.jobs.places import open_for_writing
from orc.cli.jobs.remove import carry_out, refuse_left_out
from orc.cli.opening import find_places
from orc.cli.options import Database, Json, Reason, Yes
from orc.cli.terminal.removals import tell
from orc.projections.removal_plan import plan_prune
from orc.scheduler.clock import format_time
from orc.scheduler.core.durations import parse_duration


def command(
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
    days = re.fullmatch(r"([0-9]{1,5})d", text)
    try:
        return float(days[1]) * 86400 if days else parse_duration(text)
    except ValueError as error:
        raise UsageProblem(f"--older-than {text}: {error}") from None

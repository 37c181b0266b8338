"""`orc prune`: removes the blobs of old jobs from the ledger."""

from __future__ import annotations

import re
import time
from typing import Annotated

from orc.cli.errors import UsageProblem
from orc.cli.ledger_access import find_places
from orc.cli.options import Database, Json, Reason, Yes
from orc.cli.parameters import Option
from orc.ledger.command_lines import command_line
from orc.scheduler.core.durations import parse_duration


def command(
    older_than: Annotated[
        str | None,
        Option(
            help="Jobs whose last event is older than this, such as 30d or 12h.", metavar="DURATION"
        ),
    ] = None,
    jobs: Annotated[
        list[str] | None,
        Option(
            "--job",
            help="Only this job, whether it has ended or not; can be repeated.",
            metavar="JOB",
        ),
    ] = None,
    files: Annotated[
        bool,
        Option("--files", help="Also remove the files in run folders that hold these bytes."),
    ] = False,
    reason: Reason = None,
    yes: Yes = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Remove the blobs of old jobs; their events stay.

    Blobs hold prompts, replies, outputs, logs and files. The events and the hash chain stay, and
    each job gets an event that records the removal. Specs stay, and so do blobs that another job
    needs.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.jobs.remove import (
        apply_removal,
        find_unfinished,
        open_for_removal,
        refuse_left_out,
    )
    from orc.cli.terminal.removals import print_removal
    from orc.ledger import Ledger
    from orc.projections.removal_plan import plan_prune
    from orc.scheduler.clock import format_time

    if older_than is None and not jobs:
        raise UsageProblem("name the jobs: --older-than 30d, or --job JOB")
    now = time.time()
    before = None if older_than is None else format_time(now - _age_s(older_than))
    places = find_places(database)
    with open_for_removal(places, is_dry=not yes) as ledger:
        named = [ledger.find_job(job) for job in jobs or ()]
        plan = plan_prune(ledger, before=before, now=format_time(now), named=named)
        refuse_left_out(ledger, plan, named)
        prices = places.prices
        unfinished = find_unfinished(ledger, plan, files=files, prices=prices)
        done = None
        if isinstance(ledger, Ledger):
            done = apply_removal(ledger, plan, reason=reason, files=files, prices=prices)
    words = ["prune", *(["--older-than", older_than] if older_than else [])]
    words += [word for job in named for word in ("--job", job)]
    words += ["--files"] if files else []
    words += ["--reason", reason] if reason else []
    print_removal(
        plan, unfinished, done, command_line=command_line(*words, "--yes"), as_json=as_json
    )
    return 0


def _age_s(text: str) -> float:
    """An age in seconds, from a duration or from any number of days. Raises UsageProblem."""
    days = re.fullmatch(r"([0-9]{1,5})d", text)
    try:
        return float(days[1]) * 86400 if days else parse_duration(text)
    except ValueError as error:
        raise UsageProblem(f"--older-than {text}: {error}") from None

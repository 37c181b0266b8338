"""`orc work`: a worker, which runs the jobs of the queue."""

from __future__ import annotations

import os
from typing import Annotated

from orc.cli.errors import UsageProblem
from orc.cli.jobs.queue import JOBS_MAX
from orc.cli.ledger_access import find_places
from orc.cli.options import Database, EnvFile, Json, Quiet, Trust
from orc.cli.parameters import Option
from orc.cli.terminal.text import safe, say
from orc.ledger.exit_codes import ENVIRONMENT, SUCCEEDED
from orc.scheduler.core.durations import parse_duration


def command(
    jobs: Annotated[
        int,
        Option(
            "--jobs",
            "-j",
            min=1,
            max=JOBS_MAX,
            help="Run at most this many jobs at the same time.",
            metavar="N",
        ),
    ] = 1,
    duration: Annotated[
        str | None,
        Option(
            "--for",
            help="Stop after this time, such as 8h: jobs that still run go back to the queue.",
            metavar="DURATION",
        ),
    ] = None,
    stop_when_empty: Annotated[
        bool,
        Option("--stop-when-empty", help="Stop when no job is left that this worker can take."),
    ] = False,
    database: Database = None,
    env_file: EnvFile = None,
    trust: Trust = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Run the jobs of the queue, until it is told to stop.

    Takes the oldest job that no process runs. Several workers may share a queue. The first Ctrl-C or
    SIGTERM interrupts the running jobs, which go back to the queue; a second one stops them without
    grace. Exits 0 also if jobs failed, and 7 if jobs are left that cannot be run in this environment.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from msgspec.structs import replace

    from orc.cli.jobs.queue.worker import work
    from orc.cli.jobs.sync import run_sync
    from orc.cli.terminal.worker_display import worker_json, worker_lines

    places = find_places(database)
    listener = worker_json(places.prices) if as_json else worker_lines(quiet=quiet)
    if not (quiet or as_json or stop_when_empty):
        where = f"waiting for jobs of {safe(places.database)}"
        line = f"{where}; Ctrl-C returns running ones to the queue"
        listener = replace(listener, on_ready=lambda: say(line))
    worked = run_sync(
        work,
        places=places,
        environment=os.environ,
        jobs=jobs,
        for_s=_parse_time(duration),
        stop_when_empty=stop_when_empty,
        trust=trust,
        listener=listener,
    )
    return ENVIRONMENT if worked.left else SUCCEEDED


def _parse_time(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageProblem(f"--for {error}; got {text!r}") from None

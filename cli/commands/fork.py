"""`orc fork`: submits a new job that reuses the results of another job."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from orc.about import version
from orc.cli.ledger_access import find_places
from orc.cli.options import (
    Database,
    EnvFile,
    Force,
    FromStep,
    Job,
    JobReplies,
    Json,
    KeepWork,
    NoInput,
    OtherExecutors,
    Quiet,
    RunsDir,
    SpecDir,
    Strict,
    Tags,
    Trust,
    parse_other_executors,
    refuse_ignored,
)
from orc.cli.parameters import Option
from orc.cli.terminal.text import put, put_json, say
from orc.ledger.command_lines import command_line
from orc.ledger.wording import count_text


def command(
    job: Job,
    start: FromStep = None,
    sets: Annotated[
        list[str] | None,
        Option(
            "--set",
            help="Change a value of the spec, such as steps.x.model=NAME or inputs.k=3; can be "
            "repeated.",
            metavar="PATH=VALUE",
        ),
    ] = None,
    spec: Annotated[
        Path | None,
        Option(
            help="Use this spec instead of the job's; its project must be the same.",
            metavar="SPEC",
            complete="complete_specs",
        ),
    ] = None,
    no_run: Annotated[
        bool, Option("--no-run", help="Submit the new job and print its id; do not run it.")
    ] = False,
    database: Database = None,
    env_file: EnvFile = None,
    runs_dir: RunsDir = None,
    replies: JobReplies = None,
    executors: OtherExecutors = None,
    force: Force = False,
    keep_work: KeepWork = False,
    spec_dir: SpecDir = None,
    tags: Tags = None,
    trust: Trust = False,
    quiet: Quiet = False,
    no_input: NoInput = False,
    strict: Strict = False,
    as_json: Json = False,
) -> int:
    """Submit a new job that reuses the results of another job.

    Steps that the options change, and all their dependents, run again, without items whose work is
    the same. All other steps that succeeded keep their results, at no cost. JOB may be in any state.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.jobs.assess.tags import tags_of
    from orc.cli.jobs.caller.spec_dir import check_spec_dir
    from orc.cli.jobs.edits import ask_nothing
    from orc.cli.jobs.fork import Fork
    from orc.cli.jobs.fork import fork as fork_job
    from orc.cli.jobs.sync import run_sync
    from orc.cli.terminal.amendments import say_runs
    from orc.cli.terminal.ask_inputs import ask_for
    from orc.cli.terminal.foreground import report
    from orc.cli.terminal.make_display import make_display
    from orc.ledger import JobId
    from orc.scheduler.core.fold.compare import Plan

    if no_run:
        ignored = {"--force": force, "--keep-work": keep_work, "--strict": strict}
        refuse_ignored(ignored, why="--no-run runs nothing")

    def announce(parent: JobId, job_id: JobId, plan: Plan) -> None:
        if as_json:
            runs, kept = dict(plan.runs), list(plan.kept)
            line = {"event": "forked", "job_id": job_id, "forked_from": parent}
            put_json({**line, "runs": runs, "kept": kept})
        elif not quiet:
            counts = f"{count_text(len(plan.kept), 'step')} reused, {len(plan.runs)} to run"
            say(f"{job_id} forked from {parent}: {counts}")
            say_runs(plan)

    places = find_places(database, runs_dir)
    display = make_display(
        as_json=as_json, quiet=quiet, prices=places.prices, database=places.database
    )
    with display:
        forked = run_sync(
            fork_job,
            job,
            Fork(
                start,
                tuple(sets or ()),
                spec,
                replies,
                ask=ask_nothing if no_input else ask_for,
                spec_dir=check_spec_dir(spec_dir),
                tags=tags_of(tags),
            ),
            places=places,
            environment=os.environ,
            version=version(),
            run=not no_run,
            listener=display.listener(),
            announce=announce,
            force=force,
            keep_work=keep_work,
            executors=parse_other_executors(executors),
            trust=trust,
        )
    if forked.ended is not None:
        return report(forked.ended, display, strict=strict)
    if not as_json:
        put(forked.job_id)
        say(f"next: {command_line('resume', forked.job_id)}", quiet=quiet)
    return 0

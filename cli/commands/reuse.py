"""Commands that go on from results that are there: rerun, fork."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orc.cli.commands.run import Strict
from orc.cli.options import (
    Again,
    Database,
    Force,
    FromStep,
    Job,
    Json,
    NoInput,
    Only,
    Quiet,
    Replies,
    RunsDir,
    Trust,
)


def rerun(
    job: Job,
    steps: Again,
    database: Database = None,
    replies: Replies = None,
    only: Only = None,
    force: Force = False,
    trust: Trust = False,
    quiet: Quiet = False,
    no_input: NoInput = False,
    strict: Strict = False,
    as_json: Json = False,
) -> int:
    """Run steps of a job again, with all that follows.

    No cache answers the steps that are named.
    """
    from orc.cli.going_on import go_on, split_names

    return go_on(
        job,
        database,
        amend=True,
        again=tuple(dict.fromkeys(steps)),
        only=split_names(only),
        replies=replies,
        force=force,
        trust=trust,
        quiet=quiet,
        strict=strict,
        as_json=as_json,
    )


def fork(
    job: Job,
    start: FromStep = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="A value of the spec: steps.x.model=NAME, inputs.k=3; may be given again.",
            metavar="PATH=VALUE",
        ),
    ] = None,
    spec: Annotated[
        Path | None, typer.Option(help="Another spec of the same project.", metavar="SPEC")
    ] = None,
    no_run: Annotated[
        bool, typer.Option("--no-run", help="Submit the job and print its id; do not run it.")
    ] = False,
    database: Database = None,
    runs_dir: RunsDir = None,
    replies: Replies = None,
    force: Force = False,
    trust: Trust = False,
    quiet: Quiet = False,
    no_input: NoInput = False,
    strict: Strict = False,
    as_json: Json = False,
) -> int:
    """Submit a new job with the results of another.

    Steps that the options change, and all that follows from them, run anew; the others
    have their results from the job, which may be in any state, at no cost.
    """
    import os

    from orc.about import version
    from orc.cli.going_on import report
    from orc.cli.jobs.fork import Fork
    from orc.cli.jobs.fork import fork as fork_job
    from orc.cli.jobs.sync import run_sync
    from orc.cli.options import find_places
    from orc.cli.terminal.make_display import make_display
    from orc.cli.terminal.text import put, put_json, say
    from orc.ledger import JobId
    from orc.scheduler.core.fold.compare import Plan

    def announce(parent: JobId, job_id: JobId, plan: Plan) -> None:
        from orc.cli.jobs.amend import say_runs

        if as_json:
            runs, kept = dict(plan.runs), list(plan.kept)
            line = {"event": "forked", "job_id": job_id, "forked_from": parent}
            put_json({**line, "runs": runs, "kept": kept})
        elif not quiet:
            counts = f"{len(plan.kept)} step(s) reused, {len(plan.runs)} to run"
            say(f"{job_id} forked from {parent}: {counts}")
            say_runs(plan)

    places = find_places(database, runs_dir)
    display = make_display(as_json=as_json, quiet=quiet, prices=places.prices)
    with display:
        forked = run_sync(
            fork_job,
            job,
            Fork(start, tuple(sets or ()), spec, replies),
            places=places,
            environment=os.environ,
            version=version(),
            run=not no_run,
            listener=display.listener(),
            announce=announce,
            force=force,
            trust=trust,
        )
    if forked.ended is not None:
        return report(forked.ended, display, strict=strict)
    if not as_json:
        put(forked.job_id)
        say(f"next: orc resume {forked.job_id}", quiet=quiet)
    return 0

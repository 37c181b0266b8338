"""Runs or resumes a job in this process, with a display, until it ends or stops."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from orc.about import version
from orc.cli.exit_codes import code_for_job
from orc.cli.jobs.amend import Amendment
from orc.cli.jobs.caller.spec_dir import check_spec_dir
from orc.cli.jobs.edits import ask_nothing
from orc.cli.jobs.owned_job import Ended
from orc.cli.jobs.places import Places
from orc.cli.jobs.prepare import Submission
from orc.cli.jobs.resume import resume
from orc.cli.jobs.run import run
from orc.cli.jobs.sync import run_sync
from orc.cli.ledger_access import find_places
from orc.cli.terminal.amendments import put_plan, say_plan
from orc.cli.terminal.ask_inputs import ask_for
from orc.cli.terminal.display import Display
from orc.cli.terminal.make_display import make_display
from orc.ledger.exit_codes import ENVIRONMENT


def run_in_foreground(
    submission: Submission,
    places: Places,
    *,
    force: bool = False,
    keep_work: bool = False,
    quiet: bool,
    as_json: bool,
    record: Path | None = None,
) -> int:
    """Submit a spec and run the job to its end with a display; the exit code."""
    display = make_display(
        as_json=as_json, quiet=quiet, stream=submission.stream, prices=places.prices
    )
    with display:
        ended = run_sync(
            run,
            submission,
            places=places,
            environment=os.environ,
            version=version(),
            listener=display.listener(),
            force=force,
            keep_work=keep_work,
            record=record,
        )
    return report(ended, display, strict=submission.strict)


def resume_in_foreground(
    job: str,
    database: Path | None,
    *,
    amend: bool,
    spec: Path | None = None,
    spec_dir: Path | None = None,
    inputs: dict[str, str] | None = None,
    again: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
    no_input: bool = False,
    quiet: bool,
    strict: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Resume a job with a display, and amend it first if `amend` is set; the exit code.

    Unless `no_input` is set, inputs that an edited spec requires are asked for on a terminal.
    """
    places = find_places(database)
    display = make_display(as_json=as_json, quiet=quiet, prices=places.prices)
    ask, folder = ask_nothing if no_input else ask_for, check_spec_dir(spec_dir)
    amendment = Amendment(os.environ, spec, inputs or {}, again, only, ask=ask, spec_dir=folder)
    if as_json or not quiet:
        amendment = replace(amendment, announce=put_plan if as_json else say_plan)
    with display:
        ended = run_sync(
            resume,
            job,
            places=places,
            environment=os.environ,
            amendment=amendment if amend else None,
            only=only,
            listener=display.listener(),
            **options,
        )
    return report(ended, display, strict=strict)


def report(ended: Ended, display: Display, *, strict: bool) -> int:
    """Print how the run ended; the exit code."""
    steps = ended.state.steps.values()
    code = code_for_job(
        ended.status,
        signal=ended.signal,
        failure_kinds=[failure.kind for failure in ended.failures],
        tolerated=sum(1 for step in steps if step.status == "failed" and step.tolerated),
        strict=strict,
        over_budget=bool(ended.state.over_budget),
    )
    display.done(ended)
    return ENVIRONMENT if code == 0 and ended.left_alone else code

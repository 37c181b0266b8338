"""Runs or resumes a job in this process, with a display, until it ends or stops."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from orc.about import version
from orc.cli.errors import UsageProblem
from orc.cli.exit_codes import code_for_job
from orc.cli.jobs.owned_job import Ended
from orc.cli.jobs.places import Places
from orc.cli.jobs.sync import run_sync
from orc.cli.ledger_access import find_places
from orc.cli.terminal.display import Display
from orc.cli.terminal.make_display import make_display
from orc.ledger import LedgerReader
from orc.ledger.exit_codes import ENVIRONMENT

if TYPE_CHECKING:
    from orc.cli.jobs.prepare import Submission
    from orc.cli.terminal.asking.interactive import Start

_ONCE = ("timeout_s", "budget")
"""The options of `resume` that change the job; the answers to its questions continue it without them."""


def run_in_foreground(
    submission: Submission,
    places: Places,
    *,
    force: bool = False,
    keep_work: bool = False,
    wait: bool = True,
    quiet: bool,
    as_json: bool,
    record: Path | None = None,
    interactive: bool = False,
) -> int:
    """Submit a spec and run the job to its end with a display; the exit code.

    With `interactive`, the questions of the job are asked on the terminal.
    """
    # Imported here, since a resume needs none of it: a spec is parsed with pydantic.
    from orc.cli.jobs.run import run

    display = make_display(
        as_json=as_json,
        quiet=quiet,
        stream=submission.stream,
        prices=places.prices,
        is_asking=interactive,
        database=places.database,
    )
    start = partial(
        run,
        submission,
        places=places,
        environment=os.environ,
        version=version(),
        force=force,
        keep_work=keep_work,
        wait=wait,
        record=record,
    )
    again = {
        "force": force,
        "keep_work": keep_work,
        "wait": wait,
        "replies": submission.replies,
    }
    with display:
        if interactive:
            ended = _run_and_ask(start, display, places, only=submission.until, **again)
            if record is not None:
                from orc.cli.jobs.caller.recordings import write_recording

                with LedgerReader.open(ended.database) as reader:
                    write_recording(reader, ended.job_id, record)
        else:
            ended = run_sync(start, listener=display.listener())
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
    interactive: bool = False,
    **options: Any,
) -> int:
    """Resume a job with a display, and amend it first if `amend` is set; the exit code.

    Unless `no_input` is set, inputs that an edited spec requires are asked for on a terminal.
    """
    # Imported here, since a run needs none of it, and starts faster without.
    from orc.cli.jobs.resume import resume

    places = find_places(database)
    display = make_display(
        as_json=as_json,
        quiet=quiet,
        prices=places.prices,
        is_asking=interactive,
        database=places.database,
    )
    amendment = None
    if amend:
        from orc.cli.jobs.amend import Amendment
        from orc.cli.jobs.caller.spec_dir import check_spec_dir
        from orc.cli.jobs.edits import ask_nothing
        from orc.cli.terminal.amendments import put_plan, say_plan
        from orc.cli.terminal.ask_inputs import ask_for

        ask, folder = ask_nothing if no_input else ask_for, check_spec_dir(spec_dir)
        amendment = Amendment(os.environ, spec, inputs or {}, again, only, ask=ask, spec_dir=folder)
        if as_json or not quiet:
            amendment = replace(amendment, announce=put_plan if as_json else say_plan)
    start = partial(
        resume,
        job,
        places=places,
        environment=os.environ,
        amendment=amendment,
        only=only,
        **options,
    )
    with display:
        if interactive:
            kept = {name: value for name, value in options.items() if name not in _ONCE}
            ended = _run_and_ask(start, display, places, only=only, **kept)
        else:
            ended = run_sync(start, listener=display.listener())
    return report(ended, display, strict=strict)


def check_interactive(interactive: bool, *, no_input: bool, as_json: bool) -> None:
    """Check that a person can be asked, before anything is recorded. Raises UsageProblem."""
    if not interactive:
        return
    for option, is_given in (("--no-input", no_input), ("--json", as_json)):
        if is_given:
            raise UsageProblem(f"--interactive and {option} cannot be combined; choose one")
    from orc.cli.terminal.asking.prompt import require_terminal

    require_terminal()


def _run_and_ask(
    start: Callable[..., Awaitable[Ended]], display: Display, places: Places, **options: Any
) -> Ended:
    """Run the job and ask its questions; `options` are those of `resume` after the answers."""
    # Imported here, since rich and what it shows load slowly.
    from orc.cli.jobs.resume import resume
    from orc.cli.terminal.asking.interactive import run_and_ask

    def with_listener(start: Callable[..., Awaitable[Ended]]) -> Start:
        return lambda listener: start(listener=listener)

    def go_on(job_id: str) -> Start:
        again = partial(resume, job_id, places=places, environment=os.environ, **options)
        return with_listener(again)

    return run_sync(run_and_ask, with_listener(start), go_on, display, places)


def report(ended: Ended, display: Display, *, strict: bool) -> int:
    """Print how the run ended; the exit code."""
    steps = ended.state.steps.values()
    code = code_for_job(
        ended.status,
        signal=ended.signal,
        failure_kinds=[failure.kind for failure in ended.failures],
        tolerated=sum(
            step.is_doubtful or (step.status == "failed" and step.tolerated) for step in steps
        ),
        strict=strict,
        over_budget=bool(ended.state.over_budget),
    )
    display.done(ended)
    return ENVIRONMENT if code == 0 and ended.left_alone else code

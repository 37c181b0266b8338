"""`orc run`: submits a spec as a job and runs it to its end; with --dry-run, only shows the graph."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from orc.cli.ledger_access import database_path, find_places
from orc.cli.options import (
    Database,
    EnvFile,
    Executors,
    Force,
    Inputs,
    InputsFile,
    Interactive,
    Json,
    KeepWork,
    Model,
    NoInput,
    NoWait,
    OutputDir,
    Provider,
    Quiet,
    Replies,
    RunsDir,
    SpecFile,
    StrictRun,
    Tags,
    Until,
    refuse_ignored,
)
from orc.cli.parameters import Option
from orc.cli.terminal.text import is_plain_terminal, put, put_json, safe, say, terminal_width
from orc.ledger.wording import count_text

if TYPE_CHECKING:
    from orc.cli.jobs.prepare import Submission


def command(
    spec: SpecFile,
    provider: Provider = None,
    model: Model = None,
    inputs: Inputs = None,
    inputs_file: InputsFile = None,
    database: Database = None,
    runs_dir: RunsDir = None,
    replies: Replies = None,
    output_dir: OutputDir = None,
    strict: StrictRun = False,
    record: Annotated[
        Path | None,
        Option(
            help="Write the model's replies to this file, for the provider `replay`.",
            metavar="FILE",
        ),
    ] = None,
    stream: Annotated[
        str | None,
        Option(
            help="Print the model's text of this step on stdout while it arrives.", metavar="STEP"
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        Option("--dry-run", help="Check the spec and show its graph; submit nothing."),
    ] = False,
    until: Until = None,
    tags: Tags = None,
    executors: Executors = None,
    force: Force = False,
    keep_work: KeepWork = False,
    no_wait: NoWait = False,
    quiet: Quiet = False,
    no_input: NoInput = False,
    interactive: Interactive = False,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> int:
    """Submit a spec as a job and run it to its end."""
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.jobs.assess.tags import tags_of
    from orc.cli.terminal.foreground import check_interactive, run_in_foreground
    from orc.cli.terminal.given_submission import given_submission

    if dry_run:
        refuse_ignored(
            {
                "--replies": replies,
                "--strict": strict,
                "--record": record,
                "--stream": stream,
                "--tag": tags,
                "--force": force,
                "--keep-work": keep_work,
                "--no-wait": no_wait,
                "--quiet": quiet,
                "--interactive": interactive,
            },
            why="--dry-run submits nothing",
        )
    check_interactive(interactive, no_input=no_input, as_json=as_json)
    submission = given_submission(
        spec,
        provider=provider,
        model=model,
        inputs=inputs,
        inputs_file=inputs_file,
        replies=replies,
        strict=strict,
        stream=stream,
        until=until,
        output_dir=output_dir,
        executors=executors,
        tags=tags_of(tags),
        no_input=no_input or dry_run,
    )
    if dry_run:
        return _show_dry_run(submission, database_path(database), as_json=as_json)
    places = find_places(database, runs_dir)
    return run_in_foreground(
        submission,
        places,
        force=force,
        keep_work=keep_work,
        wait=not no_wait,
        quiet=quiet,
        as_json=as_json,
        record=record,
        interactive=interactive,
    )


def _show_dry_run(submission: Submission, database: Path, *, as_json: bool) -> int:
    # Imported here, since a run does not draw the graph.
    from orc.cli.jobs.caller.secrets import needed_steps
    from orc.cli.jobs.caller.step_names import check_step_names
    from orc.cli.jobs.prepare import known_executors, prepare_here
    from orc.projections import text_graph
    from orc.projections.pictures.nodes import nodes_of_needs

    known = known_executors(submission, database, os.environ)
    _, _, definition, said = prepare_here(submission, os.environ, executor_names=known)
    if said:
        say(f"orc: {safe(said)}")
    check_step_names("--until", submission.until, {step.id for step in definition.steps})
    chosen = needed_steps(definition, submission.until)
    steps = [step for step in definition.steps if step.id in chosen]
    needs = {step.id: step.needs for step in steps}
    if as_json:
        put_json({"project": definition.project, "steps": needs})
        return 0
    kinds = {step.id: step.shape or step.kind for step in steps}
    put(
        text_graph(
            nodes_of_needs(needs, kinds), width=terminal_width(), is_plain=is_plain_terminal()
        )
    )
    for step in steps:
        what = f"{step.provider}/{step.model}" if step.facts.calls_model else step.kind
        put(f"{step.id}: {safe(what)}, at most {count_text(step.retry.max_attempts, 'attempt')}")
    return 0
